//! The reason of a state, as the contract names it.

use super::contract::v1;
use crate::transaction::{
    BillRefusal, ConfirmingCause, FailureReason, NotSent, ReviewCause, State, StatusCode,
    TransactionStatus, UnknownCause,
};

/// Returns the reason of a status.
pub(super) fn build(status: &TransactionStatus) -> v1::TransactionReason {
    match &status.state {
        State::Sending | State::Pending | State::Succeeded { .. } => {
            v1::TransactionReason::Unspecified
        }
        State::Failed(why) | State::Confirming(ConfirmingCause::Unproven(why)) => {
            failure(*why, status.code)
        }
        State::Confirming(ConfirmingCause::Unknown(why)) => match why {
            UnknownCause::TimedOut | UnknownCause::Broken | UnknownCause::SenderLost => {
                v1::TransactionReason::NoAnswer
            }
            _ => v1::TransactionReason::UnclearAnswer,
        },
        State::Confirming(ConfirmingCause::Quarantined) => v1::TransactionReason::Quarantined,
        State::NotSent(why) => not_sent(*why),
        State::NeedsReview { cause, .. } => match cause {
            ReviewCause::Contradicted => v1::TransactionReason::Contradicted,
            ReviewCause::ChecksExhausted => v1::TransactionReason::ChecksExhausted,
            ReviewCause::PaidMeanwhile => v1::TransactionReason::PaidMeanwhile,
        },
        State::Reversed { .. } => v1::TransactionReason::Resolved,
    }
}

fn not_sent(why: NotSent) -> v1::TransactionReason {
    match why {
        NotSent::Unreachable => v1::TransactionReason::Unreachable,
        NotSent::Overloaded => v1::TransactionReason::Overloaded,
        NotSent::Expired => v1::TransactionReason::Expired,
        NotSent::ClaimLost => v1::TransactionReason::ClaimAbandoned,
        NotSent::Quarantined => v1::TransactionReason::NotReceived,
    }
}

/// Returns the reason of a failure. The status code distinguishes the refusals of a bill, which are
/// stored as one reason.
pub(super) fn failure(why: FailureReason, code: Option<StatusCode>) -> v1::TransactionReason {
    match why {
        FailureReason::ProductUnavailable => v1::TransactionReason::ProductUnavailable,
        FailureReason::BillerTrouble => v1::TransactionReason::BillerTrouble,
        FailureReason::ServerTrouble => v1::TransactionReason::ServerTrouble,
        FailureReason::DepositExhausted => v1::TransactionReason::DepositExhausted,
        FailureReason::WrongAccountNumber => v1::TransactionReason::WrongAccountNumber,
        FailureReason::WrongProductCode => v1::TransactionReason::WrongProductCode,
        FailureReason::BadFormat => v1::TransactionReason::BadFormat,
        FailureReason::GatewayCredentials => v1::TransactionReason::GatewayCredentials,
        FailureReason::CrossRegion => v1::TransactionReason::CrossRegion,
        FailureReason::RequestExpired => v1::TransactionReason::RequestExpired,
        FailureReason::AccountCannotReceive => v1::TransactionReason::AccountCannotReceive,
        FailureReason::ProductAccountMismatch => v1::TransactionReason::ProductAccountMismatch,
        FailureReason::TooManyBills => v1::TransactionReason::TooManyBills,
        FailureReason::Cancelled => v1::TransactionReason::Cancelled,
        FailureReason::AlreadyPaid => v1::TransactionReason::BillPaidOrInvalid,
        FailureReason::Resolved => v1::TransactionReason::Resolved,
        FailureReason::AccountBlacklisted => v1::TransactionReason::AccountBlacklisted,
        FailureReason::NotReceived => v1::TransactionReason::NotReceived,
        FailureReason::Unidentified => v1::TransactionReason::Unidentified,
        FailureReason::BillRefused => match code.and_then(StatusCode::bill_refusal) {
            Some(BillRefusal::NotFound) => v1::TransactionReason::BillNotFound,
            Some(BillRefusal::Mismatch) => v1::TransactionReason::InquiryMismatch,
            Some(BillRefusal::Expired) => v1::TransactionReason::InquiryExpired,
            Some(BillRefusal::WrongCustomerData) => v1::TransactionReason::WrongCustomerData,
            Some(BillRefusal::InquiryMissing) => v1::TransactionReason::InquiryMissing,
            None => v1::TransactionReason::BillRefused,
        },
    }
}
