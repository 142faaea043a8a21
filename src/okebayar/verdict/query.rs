//! The meaning of a status code in the answer to an inquiry, a balance or an echo, and its metrics
//! label.

use crate::transaction::{AsQuestion, Refusal, StatusCode};

/// Verifies that a code answers a question that moves no money.
///
/// # Errors
/// [`Refusal`] for every code but 000 and 001.
pub fn of_query(code: StatusCode) -> Result<(), Refusal> {
    match code.entry().question {
        AsQuestion::Answered => Ok(()),
        AsQuestion::Refused(refusal) => Err(refusal),
    }
}

/// Returns the class of a code for a metrics label. There are few classes.
#[must_use]
pub fn class(code: StatusCode) -> &'static str {
    match code.number() {
        0 | 1 => "success",
        2..=199 => "pending",
        200..=299 => "2xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}
