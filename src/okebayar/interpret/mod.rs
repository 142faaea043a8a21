//! Gives meaning to the names and texts of an answer, the same for every format (promise 17), with
//! the tolerances of docs/OKEBAYAR.md, section 6.

mod answer_reader;
mod known_fields;
mod redaction;
mod times;

pub use answer_reader::{AnswerContext, interpret, interpret_for};
