//! Errors of the store.

use tonic::{Code, Status};

use super::status::status;
use crate::{purchase::Sent, store::StoreError};

/// Maps the error of a read. An earlier call may have been sent.
pub(super) fn to_status(error: &StoreError) -> Status {
    let (code, reason, problem) = problem(error);
    let message = if error.is_transient() {
        format!("{problem}; call again")
    } else {
        problem.to_owned()
    };
    status(code, reason, Sent::Maybe, message)
}

/// Returns the code, reason and message of a store error. The message does not quote the
/// store's client.
pub(super) fn problem(error: &StoreError) -> (Code, &'static str, &'static str) {
    match error {
        StoreError::Corrupt { .. } => (
            Code::DataLoss,
            "RECORD_CORRUPT",
            "the stored record of this reference code cannot be read; an operator must inspect it",
        ),
        StoreError::Unavailable(_) | StoreError::Indeterminate(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store does not answer",
        ),
        StoreError::Unsuitable(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store must not be used in its present state; an operator must inspect it",
        ),
    }
}
