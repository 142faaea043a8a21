//! Where a transaction stands, and what a caller may conclude from it.

use super::{
    codes::{StatusCode, TraceCode},
    details::Details,
    finding::{FailureReason, NotSent, UnknownCause},
};

/// The serial number of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialNumberStatus {
    /// It is there.
    Present,
    /// Still awaited.
    Pending,
    /// It did not come while the schedule lasted.
    Missing,
    /// There is none to come: payments of bills have none.
    NotDue,
}

/// Why a human must decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewCause {
    /// Proof of success and proof of failure both exist.
    Contradicted,
    /// The check schedule ended without a proof.
    ChecksExhausted,
    /// OKEBAYAR calls the bill paid while another payment of it is open.
    PaidMeanwhile,
}

/// Why an outcome is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmingCause {
    /// No usable answer.
    Unknown(UnknownCause),
    /// A failure that OKEBAYAR also reports when it is merely unwell.
    Unproven(FailureReason),
    /// It was not sent: the store may have forgotten that it was sent before.
    Quarantined,
}

/// The state of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The intent is stored; no answer yet.
    Sending,
    /// OKEBAYAR is processing it.
    Pending,
    /// Status checks decide.
    Confirming(ConfirmingCause),
    /// The money is spent.
    Succeeded {
        /// Serial number, price, balance, time.
        receipt: Details,
        /// Whether the serial number is there.
        serial_number: SerialNumberStatus,
    },
    /// Proven failure.
    Failed(FailureReason),
    /// A success that was taken back: the money is returned.
    Reversed {
        /// What the proof of success had said.
        receipt: Details,
    },
    /// Provably nothing was sent.
    NotSent(NotSent),
    /// A human must decide.
    NeedsReview {
        /// Why.
        cause: ReviewCause,
        /// What the proof of success said, if there is one.
        receipt: Option<Details>,
    },
}

impl State {
    /// A short stable name, as logs and streams show it.
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

    /// Nothing further is expected.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Succeeded { serial_number, .. } => *serial_number != SerialNumberStatus::Pending,
            Self::Failed(_) | Self::Reversed { .. } => true,
            _ => false,
        }
    }

    /// A watcher has nothing to wait for.
    #[must_use]
    pub fn ends_watch(&self) -> bool {
        self.is_final() || matches!(self, Self::NotSent(_) | Self::NeedsReview { .. })
    }

    /// The outcome is decided: it never returns to SENDING, PENDING or CONFIRMING
    /// (promise 8), save that NOT_SENT may be armed again.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Sending | Self::Pending | Self::Confirming(_))
    }

    /// No money was spent, or it came back: the customer may have theirs back.
    #[must_use]
    pub fn safe_to_refund(&self) -> bool {
        matches!(
            self,
            Self::Failed(_) | Self::NotSent(_) | Self::Reversed { .. }
        )
    }

    /// The same thing may be bought again.
    #[must_use]
    pub fn safe_to_buy_again(&self) -> bool {
        self.safe_to_refund()
    }

    /// What the proof of success said, where there is one.
    #[must_use]
    pub fn receipt(&self) -> Option<&Details> {
        match self {
            Self::Succeeded { receipt, .. } | Self::Reversed { receipt } => Some(receipt),
            Self::NeedsReview { receipt, .. } => receipt.as_ref(),
            _ => None,
        }
    }
}

/// What the evidence amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionStatus {
    /// The state.
    pub state: State,
    /// The status code on which the state rests.
    pub code: Option<StatusCode>,
    /// OKEBAYAR's id of the purchase, from its own answer or a confirmed callback.
    pub trace_code: Option<TraceCode>,
    /// The last status that an unconfirmed callback reported.
    pub reported: Option<StatusCode>,
}
