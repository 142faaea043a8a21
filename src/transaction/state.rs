//! The state of a transaction, and the conclusions that a caller may draw from it.

use super::{
    code_types::{StatusCode, TraceCode},
    details::Details,
    finding::{FailureReason, NotSent, UnknownCause},
};

/// The status of the serial number of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialNumberStatus {
    /// The serial number is present.
    Present,
    /// The serial number is still expected.
    Pending,
    /// The check schedule ended without a serial number.
    Missing,
    /// An operator established the success of a prepaid purchase, and gave no serial number.
    NotGiven,
    /// No serial number is expected: payments of bills have none.
    NotDue,
}

/// The reason why an operator must decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewCause {
    /// There is proof both of success and of failure.
    Contradicted,
    /// The check schedule ended without a proof.
    ChecksExhausted,
    /// OKEBAYAR reports the bill as paid while another payment of it is open.
    PaidMeanwhile,
}

/// The reason why status checks must confirm the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmingCause {
    /// There is no usable answer.
    Unknown(UnknownCause),
    /// OKEBAYAR reports a failure by a code that it also returns during its own faults.
    Unproven(FailureReason),
    /// The attempt is quarantined: the store may have lost the record of an earlier one.
    Quarantined,
}

/// The state of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The intent is stored, and no answer has come yet.
    Sending,
    /// OKEBAYAR is processing it.
    Pending,
    /// The outcome is unknown, and status checks decide it.
    Confirming(ConfirmingCause),
    /// The money was spent.
    Succeeded {
        /// Serial number, price, balance and time.
        receipt: Details,
        /// The status of the serial number.
        serial_number: SerialNumberStatus,
    },
    /// The transaction provably failed.
    Failed(FailureReason),
    /// A success was reversed: the money is returned.
    Reversed {
        /// The details of the proof of success.
        receipt: Details,
    },
    /// Nothing was sent, provably.
    NotSent(NotSent),
    /// An operator must decide.
    NeedsReview {
        /// The reason.
        cause: ReviewCause,
        /// The details of the proof of success, if there is one.
        receipt: Option<Details>,
    },
}

impl State {
    /// Returns the short stable name that logs and streams use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sending => "SENDING",
            Self::Pending => "PENDING",
            Self::Confirming(_) => "CONFIRMING",
            Self::Succeeded { .. } => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::NotSent(_) => "NOT_SENT",
            Self::NeedsReview { .. } => "NEEDS_REVIEW",
            Self::Reversed { .. } => "REVERSED",
        }
    }

    /// The names of all states, as [`State::name`] gives them.
    pub const NAMES: [&str; 8] = [
        "SENDING",
        "PENDING",
        "CONFIRMING",
        "SUCCEEDED",
        "FAILED",
        "NOT_SENT",
        "NEEDS_REVIEW",
        "REVERSED",
    ];

    /// Returns true when no further change is expected.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Succeeded { serial_number, .. } => *serial_number != SerialNumberStatus::Pending,
            Self::Failed(_) | Self::Reversed { .. } => true,
            _ => false,
        }
    }

    /// Returns true when a watcher has nothing to wait for.
    #[must_use]
    pub fn ends_watch(&self) -> bool {
        self.is_terminal() || matches!(self, Self::NotSent(_) | Self::NeedsReview { .. })
    }

    /// Returns true when the outcome is decided. A settled transaction never returns to SENDING,
    /// PENDING or CONFIRMING (promise 8), except that NOT_SENT may be armed again.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Sending | Self::Pending | Self::Confirming(_))
    }

    /// Returns true when no money was spent, or it was returned, so the customer may be refunded.
    #[must_use]
    pub fn safe_to_refund(&self) -> bool {
        matches!(
            self,
            Self::Failed(_) | Self::NotSent(_) | Self::Reversed { .. }
        )
    }

    /// Returns the details of the proof of success, if there is one.
    #[must_use]
    pub fn receipt(&self) -> Option<&Details> {
        match self {
            Self::Succeeded { receipt, .. } | Self::Reversed { receipt } => Some(receipt),
            Self::NeedsReview { receipt, .. } => receipt.as_ref(),
            _ => None,
        }
    }
}

/// The status of a transaction, derived from its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionStatus {
    /// The state.
    pub state: State,
    /// The status code on which the state rests.
    pub code: Option<StatusCode>,
    /// OKEBAYAR's id of the transaction, from the answer to the POST or a confirmed callback.
    pub trace_code: Option<TraceCode>,
    /// The latest status code that an unconfirmed callback reported.
    pub reported: Option<StatusCode>,
}
