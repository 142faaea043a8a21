//! OUTBOUND: what the gateway says to OKEBAYAR, and what its answers prove.
//!
//! ```text
//! Transaction -> request -> format (json, xml) -> transport -> OKEBAYAR
//!   Statement <- verdict <- answer <- format <-/
//! ```
//!
//! Requests are strict and lower case; answers are read with every tolerance of
//! section 6 of the API page. Status codes stop in `verdict`.

pub mod account;
pub mod account_number;
pub mod additional_data;
pub mod answer;
pub mod answer_error;
pub mod body;
pub mod client;
pub mod code_lists;
pub mod fields;
pub mod format;
pub mod inquiry;
pub mod interpret;
pub mod json;
pub mod mismatch;
pub mod observer;
pub mod operations;
pub mod parse_permits;
pub mod personal;
pub mod phone_number;
pub mod pln;
pub mod query_error;
pub mod question;
pub mod redact;
pub mod requests;
pub mod send_by;
pub mod signature;
pub mod subject;
pub mod transport;
pub mod verdict;
pub mod xml;
