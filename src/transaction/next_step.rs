//! The next step of a caller, derived from the state of a transaction and its reason.

use super::{
    finding::{FailureReason, NotSent},
    state::{SerialNumberStatus, State},
};

/// The action that a caller takes next. It needs no status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Wait: the outcome or the serial number is open.
    Wait,
    /// Nothing is left to do; after a failure, the account number must not be tried again.
    Nothing,
    /// An operator of the gateway must act first.
    ContactOperator,
    /// Call again with the same reference code.
    RetrySameReference,
    /// Purchase again under a new reference code, if the customer still wants it.
    BuyAgain,
    /// Correct the order, and purchase again under a new reference code.
    CorrectAndBuyAgain,
    /// Inquire again, and purchase under a new reference code.
    InquireAgain,
    /// Do not pay the bill again: it may be paid.
    DoNotBuyAgain,
    /// Correct the request, and call again with the same reference code.
    CorrectAndRetrySameReference,
    /// Read the transaction under the reference code, or the one that the error names.
    ReadTransaction,
}

impl NextStep {
    /// Returns true when the caller may purchase under another reference code.
    #[must_use]
    pub fn begins_anew(self) -> bool {
        match self {
            Self::BuyAgain | Self::CorrectAndBuyAgain | Self::InquireAgain => true,
            Self::Wait
            | Self::Nothing
            | Self::ContactOperator
            | Self::RetrySameReference
            | Self::DoNotBuyAgain
            | Self::CorrectAndRetrySameReference
            | Self::ReadTransaction => false,
        }
    }

    /// Returns true when the caller may purchase the same product now, under this reference code
    /// or a new one.
    #[must_use]
    pub fn allows_purchase(self) -> bool {
        let repeats = [Self::RetrySameReference, Self::CorrectAndRetrySameReference];
        self.begins_anew() || repeats.contains(&self)
    }
}

impl State {
    /// Returns the next step of the caller.
    #[must_use]
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Sending | Self::Pending | Self::Confirming(_) => NextStep::Wait,
            Self::Succeeded { serial_number, .. } => match serial_number {
                SerialNumberStatus::Pending => NextStep::Wait,
                SerialNumberStatus::Missing => NextStep::ContactOperator,
                SerialNumberStatus::Present
                | SerialNumberStatus::NotDue
                | SerialNumberStatus::NotGiven => NextStep::Nothing,
            },
            Self::Failed(reason) => reason.next_step(),
            Self::NotSent(why) => why.next_step(),
            Self::NeedsReview { .. } => NextStep::ContactOperator,
            Self::Reversed { .. } => NextStep::BuyAgain,
        }
    }
}

impl FailureReason {
    /// Returns the next step after a proven failure for this reason.
    fn next_step(self) -> NextStep {
        match self {
            Self::ProductUnavailable
            | Self::BillerTrouble
            | Self::ServerTrouble
            | Self::Cancelled
            | Self::NotReceived
            | Self::Resolved
            | Self::Unidentified => NextStep::BuyAgain,
            Self::DepositExhausted
            | Self::BadFormat
            | Self::GatewayCredentials
            | Self::RequestExpired => NextStep::ContactOperator,
            Self::WrongAccountNumber
            | Self::WrongProductCode
            | Self::CrossRegion
            | Self::AccountCannotReceive
            | Self::ProductAccountMismatch
            | Self::TooManyBills => NextStep::CorrectAndBuyAgain,
            Self::AccountBlacklisted => NextStep::Nothing,
            Self::BillRefused => NextStep::InquireAgain,
            Self::AlreadyPaid => NextStep::DoNotBuyAgain,
        }
    }
}

impl NotSent {
    /// Returns the next step after an attempt that sent nothing.
    fn next_step(self) -> NextStep {
        match self {
            Self::Unreachable | Self::Overloaded | Self::ClaimLost | Self::Quarantined => {
                NextStep::RetrySameReference
            }
            Self::Expired => NextStep::BuyAgain,
        }
    }
}
