//! The exit codes of `call`, by which a script branches.

use std::process::ExitCode;

use tonic::Status;
use tonic_types::StatusExt;

use crate::grpc::v1;

/// The outcome of a call, as an exit code reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitOutcome {
    /// 0: the call succeeded; a transaction is SUCCEEDED.
    Done,
    /// 1: the call was refused, or its address cannot be read. Where the gateway refused a purchase or
    /// payment, nothing was ever sent under its reference code.
    Refused,
    /// 3: no money is spent: FAILED, NOT_SENT or REVERSED.
    NothingSpent,
    /// 4: the outcome is open: SENDING, PENDING or CONFIRMING.
    Open,
    /// 5: the transaction is in NEEDS_REVIEW.
    NeedsReview,
    /// 6: something may have been sent under the reference code of a purchase or payment, by
    /// this call or an earlier one: repeat the very same call, or read the transaction.
    Unknown,
}

impl ExitOutcome {
    /// Returns the outcome of a transaction by its state.
    #[must_use]
    pub fn of(transaction: &v1::Transaction) -> Self {
        match transaction.state() {
            v1::TransactionState::Succeeded => Self::Done,
            v1::TransactionState::Failed
            | v1::TransactionState::NotSent
            | v1::TransactionState::Reversed => Self::NothingSpent,
            v1::TransactionState::NeedsReview => Self::NeedsReview,
            v1::TransactionState::Unspecified
            | v1::TransactionState::Sending
            | v1::TransactionState::Pending
            | v1::TransactionState::Confirming => Self::Open,
        }
    }

    /// Returns the outcome of a call that ended with an error. Only the gateway's own `sent=no`
    /// proves that nothing was sent.
    pub(super) fn of_error(status: &Status, moves_money: bool) -> Self {
        let info = status.get_details_error_info();
        let sent_nothing =
            info.is_some_and(|info| info.metadata.get("sent").map(String::as_str) == Some("no"));
        if moves_money && !sent_nothing {
            Self::Unknown
        } else {
            Self::Refused
        }
    }
}

impl From<ExitOutcome> for ExitCode {
    fn from(outcome: ExitOutcome) -> Self {
        Self::from(match outcome {
            ExitOutcome::Done => 0,
            ExitOutcome::Refused => 1,
            // 2 is the parser's, for arguments that cannot be read.
            ExitOutcome::NothingSpent => 3,
            ExitOutcome::Open => 4,
            ExitOutcome::NeedsReview => 5,
            ExitOutcome::Unknown => 6,
        })
    }
}
