//! Errors of WatchTransaction and WatchTransactions.

use tonic::{Code, Status};

use super::{
    status::{status, too_many},
    store_errors, transaction_lookup,
};
use crate::engine::{Sent, WatchError};

/// Returns the status of a watch of one transaction that ends with an error.
pub(super) fn of_one(error: &WatchError) -> Status {
    match error {
        WatchError::NotFound { may_be_sent } => transaction_lookup::not_found(*may_be_sent),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; watch again from after_revision 0");
            let reason = "REVISION_OUT_OF_RANGE";
            status(Code::OutOfRange, reason, Sent::Maybe, message)
        }
        WatchError::Store(error) => store_errors::to_status(error),
        WatchError::TooMany => too_many("TOO_MANY_WATCHERS", Sent::Maybe, &error.to_string()),
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last revision seen";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::Maybe, message)
        }
    }
}

/// Returns the status of a watch of all transactions that ends with an error.
pub(super) fn of_all(error: &WatchError) -> Status {
    match error {
        // It is about no reference code.
        WatchError::TooMany => too_many("TOO_MANY_WATCHERS", Sent::No, &error.to_string()),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; list the transactions, and watch from now");
            let reason = "CURSOR_OUT_OF_RANGE";
            status(Code::OutOfRange, reason, Sent::Maybe, message)
        }
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last cursor";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::Maybe, message)
        }
        other => of_one(other),
    }
}
