//! The meaning of a status code in the answer to a question that moves no money.

use crate::transaction::StatusCode;

/// Why an inquiry, a balance or an echo was refused, by what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    NotFound,
    /// The caller's data are wrong.
    WrongData,
    /// Something else must be put right first.
    Precondition,
    /// OKEBAYAR refuses the gateway's credentials, signature or address.
    GatewayCredentials,
    /// OKEBAYAR is unwell, or has no answer yet.
    Unavailable,
    /// The request must be made anew.
    Aborted,
    /// Anything else.
    Internal,
}

/// Whether an answer to a question that moves no money is one (design section 3).
///
/// # Errors
/// [`Refusal`] for every code but 000 and 001.
pub fn of_query(code: StatusCode) -> Result<(), Refusal> {
    match code.number() {
        0 | 1 => Ok(()),
        400 => Err(Refusal::NotFound),
        204..=206 | 216 | 217 | 232 | 404 => Err(Refusal::WrongData),
        200 | 203 | 210 | 215 | 233 | 401 | 403 | 405 | 500 => Err(Refusal::Precondition),
        207 | 211..=213 => Err(Refusal::GatewayCredentials),
        2..=199 | 201 | 202 | 240 => Err(Refusal::Unavailable),
        208 | 510 => Err(Refusal::Aborted),
        _ => Err(Refusal::Internal),
    }
}

/// The class of a code, for a label: few, and each of one meaning.
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
