//! Faults of the store as statuses.

use tonic::{Code, Status};

use super::status::status;
use crate::{engine::Sent, store::StoreError};

/// Maps the error of a read. An earlier call may have been sent.
pub(super) fn to_status(error: &StoreError) -> Status {
    let (code, reason, problem) = problem(error);
    status(code, reason, Sent::Maybe, problem)
}

/// Returns the code, reason and message of a store error. The message omits what the store's
/// client reports.
pub(super) fn problem(error: &StoreError) -> (Code, &'static str, &'static str) {
    match error {
        StoreError::Corrupt { .. } => (
            Code::DataLoss,
            "RECORD_CORRUPT",
            "what the store holds under this reference code cannot be read; an operator must \
             look at it",
        ),
        StoreError::Unavailable(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store does not answer",
        ),
        StoreError::Unsuitable(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store may not be used as it is; an operator must look at it",
        ),
    }
}
