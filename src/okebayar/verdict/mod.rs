//! Derives evidence from answers and callbacks: the only place where status codes become findings
//! (docs/OKEBAYAR.md, sections 3.1, 3.2 and 5; promises 4 and 16). The meaning of each code is in
//! the table in `transaction/status_codes.rs`.

mod callback;
mod check;
mod confirmation;
mod ignored;
mod mismatched;
mod purchase;
mod query;

pub use callback::{agrees, of_callback, of_trusted_callback};
pub use check::{
    ReferenceStatus, may_be_unknown, of_check, of_ignored_check, of_unknown, shows_no_sign,
};
pub use ignored::Ignored;
pub use purchase::{difference, of_purchase};
pub use query::{class, of_query};

pub use crate::transaction::Refusal;
