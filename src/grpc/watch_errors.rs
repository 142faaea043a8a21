//! Errors of `WatchTransaction` and `WatchTransactions`.

use tonic::{Code, Status};

use super::contract::v1::ErrorReason;
use super::{
    status::{status, too_many},
    store_errors, transaction_lookup,
};
use crate::{ledger::WatchError, purchase::Sent};

/// Maps the error that ends a watch of one transaction.
pub(super) fn of_one(error: &WatchError) -> Status {
    match error {
        WatchError::NotFound | WatchError::Lost => transaction_lookup::not_found(true),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; watch again with after_revision 0");
            let reason = ErrorReason::RevisionOutOfRange;
            status(Code::OutOfRange, reason, Sent::Maybe, message)
        }
        WatchError::Store(error) => store_errors::to_status(error),
        WatchError::TooMany => too_many(
            ErrorReason::TooManyWatchers,
            "limits.watchers",
            Sent::Maybe,
            &error.to_string(),
        ),
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last revision received";
            status(
                Code::Unavailable,
                ErrorReason::GatewayStopping,
                Sent::Maybe,
                message,
            )
        }
    }
}

/// Maps the error that ends a watch of all transactions.
pub(super) fn of_all(error: &WatchError) -> Status {
    match error {
        // The call is about no reference code.
        WatchError::TooMany => too_many(
            ErrorReason::TooManyWatchers,
            "limits.watchers",
            Sent::No,
            &error.to_string(),
        ),
        WatchError::OutOfRange(problem) => {
            let message =
                format!("{problem}; watch again without a cursor, then list the transactions");
            let reason = ErrorReason::CursorOutOfRange;
            status(Code::OutOfRange, reason, Sent::Maybe, message)
        }
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last cursor received";
            status(
                Code::Unavailable,
                ErrorReason::GatewayStopping,
                Sent::Maybe,
                message,
            )
        }
        other => of_one(other),
    }
}
