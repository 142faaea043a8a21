//! The reasons of errors, as `ErrorReason` of the contract publishes them.

use super::contract::v1;
use crate::transaction::NextStep;
use v1::ErrorReason;

/// Returns the `reason` of an `ErrorInfo`: the name of the value without its prefix.
pub(super) fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Returns the next step of a caller whose purchase or payment ends with this error; `None` for the
/// errors of other calls.
pub(super) fn next_step(reason: ErrorReason) -> Option<NextStep> {
    use ErrorReason as Why;
    Some(match reason {
        Why::Overloaded
        | Why::TooManyWaiters
        | Why::GatewayStopping
        | Why::StoreUnavailable
        | Why::ClaimUnconfirmed
        | Why::OutcomeUnreadable
        | Why::DeadlineTooShort
        | Why::ReferenceCodeContended
        | Why::OkebayarUnreachable
        | Why::NotReceived
        | Why::SaleSuspected
        | Why::RefusedByServer => NextStep::RetrySameReference,
        Why::InvalidRequest
        | Why::RequestUnreadable
        | Why::RequestTooLarge
        | Why::DeadlineUnreadable
        | Why::MethodUnknown
        | Why::PriceTooHigh
        | Why::PriceUnknown
        | Why::InquiryMismatch
        | Why::InquiryAmbiguous => NextStep::CorrectAndRetrySameReference,
        Why::ReferenceCodeReused | Why::InquiryAlreadyUsed | Why::BillPaymentOpen => {
            NextStep::ReadTransaction
        }
        Why::InquiryNotFound
        | Why::InquiryExpired
        | Why::InquiryOutdated
        | Why::TotalMismatch
        | Why::TotalUnknown
        | Why::InquiryCodeCrowded => NextStep::InquireAgain,
        Why::Expired => NextStep::BuyAgain,
        Why::RecordCorrupt
        | Why::MayBeForgotten
        | Why::InquiryUnsendable
        | Why::InquiryAnsweredAsPurchase => NextStep::ContactOperator,
        Why::Unspecified
        | Why::TransactionNotFound
        | Why::ReferenceCodeRefused
        | Why::NoUsableAnswer
        | Why::OkebayarUnwell
        | Why::UnexpectedAnswer
        | Why::ProductUnavailable
        | Why::BillerTrouble
        | Why::ServerTrouble
        | Why::DepositExhausted
        | Why::WrongAccountNumber
        | Why::WrongProductCode
        | Why::BadFormat
        | Why::GatewayCredentials
        | Why::CrossRegion
        | Why::RequestExpired
        | Why::AccountCannotReceive
        | Why::WrongDate
        | Why::ProductAccountMismatch
        | Why::TooManyBills
        | Why::Cancelled
        | Why::Unidentified
        | Why::BillNotFound
        | Why::BillPaidOrInvalid
        | Why::WrongCustomerData
        | Why::InquiryMissing
        | Why::AccountBlacklisted
        | Why::TooManyWatchers
        | Why::RevisionOutOfRange
        | Why::CursorOutOfRange
        | Why::NotResolvable
        | Why::RevisionChanged => return None,
    })
}
