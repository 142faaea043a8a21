//! Errors of the store.

use tonic::{Code, Status};

use super::contract::v1::ErrorReason;
use super::status::{StatusBuilder, status};
use crate::{
    purchase::Sent,
    store::{StoreError, Tombstone},
};

/// Maps the error of a read. An earlier call may have been sent.
pub(super) fn to_status(error: &StoreError) -> Status {
    if let Some(tombstone) = error.tombstone() {
        return retired(tombstone);
    }
    let (code, reason, problem) = problem(error);
    let message = if error.is_transient() {
        format!("{problem}; call again")
    } else {
        problem.to_owned()
    };
    status(code, reason, Sent::Maybe, message)
}

/// Builds the error of a call about a retired transaction.
pub(super) fn retired(tombstone: &Tombstone) -> Status {
    let state = tombstone.state.name();
    let message = format!(
        "the transaction under this reference code ended as {state}, and its record was deleted \
         after its retention; the reference code cannot be used again"
    );
    let (code, reason) = (Code::FailedPrecondition, ErrorReason::ReferenceRetired);
    StatusBuilder::new(code, reason, Sent::Maybe, message)
        .metadata("state", state)
        .build()
}

/// Returns the code, reason and message of a store error. The message does not quote the
/// store's client.
pub(super) fn problem(error: &StoreError) -> (Code, ErrorReason, &'static str) {
    match error {
        StoreError::Corrupt { .. } => (
            Code::DataLoss,
            ErrorReason::RecordCorrupt,
            "the stored record of this reference code cannot be read; an operator must inspect it",
        ),
        StoreError::Unavailable(_) | StoreError::Indeterminate(_) => (
            Code::Unavailable,
            ErrorReason::StoreUnavailable,
            "the store does not answer",
        ),
        StoreError::Unacknowledged(_) => (
            Code::Unavailable,
            ErrorReason::StoreUnavailable,
            "too few replicas of the store acknowledged the purchase",
        ),
        StoreError::Retired(_) => (
            Code::FailedPrecondition,
            ErrorReason::ReferenceRetired,
            "the transaction under this reference code has ended, and its record was deleted",
        ),
        StoreError::KeyMissing { .. } => (
            Code::Unavailable,
            ErrorReason::StoreUnavailable,
            "the stored record is encrypted with a key that this gateway does not have; an \
             operator must configure it",
        ),
        StoreError::Unsuitable(_) => (
            Code::Unavailable,
            ErrorReason::StoreUnavailable,
            "the store must not be used in its present state; an operator must inspect it",
        ),
    }
}
