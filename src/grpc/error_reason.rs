//! The reasons of errors, as `ErrorReason` of the contract publishes them.
//!
//! The facts of each reason are here, and `status` asserts that every error keeps to them: its
//! gRPC codes, its next step, its metadata keys, and the presence of a `RetryInfo`.

use tonic::Code;

use super::contract::v1;
use crate::{purchase::Sent, transaction::NextStep};
use v1::ErrorReason;

/// Every gRPC code of an error.
const ANY_CODE: [Code; 16] = [
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// Returns the `reason` of an `ErrorInfo`: the name of the value without its prefix.
pub(super) fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Returns the next step of a caller whose purchase or payment ends with this error; `None` for the
/// errors of other calls.
///
/// While the reference code may have been sent, no step leads to a purchase under another one: the
/// caller of an expired request, for example, may have lost the answer of the call that was sent.
pub(super) fn next_step(reason: ErrorReason, sent: Sent) -> Option<NextStep> {
    let step = step_when_unsent(reason)?;
    match sent {
        Sent::Maybe if step.begins_anew() => Some(NextStep::RetrySameReference),
        Sent::Maybe | Sent::No => Some(step),
    }
}

/// Returns the next step where nothing was sent under the reference code.
fn step_when_unsent(reason: ErrorReason) -> Option<NextStep> {
    use ErrorReason as Why;
    Some(match reason {
        Why::Overloaded
        | Why::GatewayStopping
        | Why::StoreUnavailable
        | Why::ClaimAbandoned
        | Why::OutcomeUnreadable
        | Why::DeadlineTooShort
        | Why::ReferenceCodeContended
        | Why::OkebayarUnreachable
        | Why::NotReceived
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
        | Why::TotalUnknown => NextStep::InquireAgain,
        Why::Expired => NextStep::BuyAgain,
        // The transaction has ended, and its state is in the metadata.
        Why::ReferenceRetired => NextStep::Nothing,
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
        | Why::TooManyWaiters
        | Why::TooManyWatchers
        | Why::InquiryCodeCrowded
        | Why::RevisionOutOfRange
        | Why::CursorOutOfRange
        | Why::NotResolvable
        | Why::RevisionChanged => return None,
    })
}

/// Returns the next step that replaces the usual one in some errors. An inquiry whose holder has no
/// record cannot be read, so the caller inquires again. While an `expire_time` may not have passed
/// by every gateway's clock, the caller repeats the call.
pub(super) fn other_next_step(reason: ErrorReason) -> Option<NextStep> {
    match reason {
        ErrorReason::InquiryAlreadyUsed => Some(NextStep::InquireAgain),
        ErrorReason::Expired => Some(NextStep::RetrySameReference),
        _ => None,
    }
}

/// Returns the gRPC codes of the errors with this reason. Two codes stand for two causes, as the
/// comment in the contract explains. `REFUSED_BY_SERVER` keeps the code of the gRPC server.
pub(super) fn codes(reason: ErrorReason) -> &'static [Code] {
    use ErrorReason as Why;
    match reason {
        Why::Unspecified => &[],
        Why::RefusedByServer => &ANY_CODE,
        Why::InvalidRequest
        | Why::RequestUnreadable
        | Why::DeadlineUnreadable
        | Why::WrongAccountNumber
        | Why::WrongProductCode
        | Why::BadFormat
        | Why::WrongDate
        | Why::ProductAccountMismatch
        | Why::WrongCustomerData => &[Code::InvalidArgument],
        Why::RequestTooLarge | Why::Overloaded | Why::TooManyWaiters | Why::TooManyWatchers => {
            &[Code::ResourceExhausted]
        }
        Why::MethodUnknown => &[Code::Unimplemented],
        Why::GatewayStopping
        | Why::StoreUnavailable
        | Why::ClaimAbandoned
        | Why::OutcomeUnreadable
        | Why::InquiryCodeCrowded
        | Why::OkebayarUnreachable
        | Why::NotReceived
        | Why::NoUsableAnswer
        | Why::OkebayarUnwell
        | Why::BillerTrouble
        | Why::ServerTrouble => &[Code::Unavailable],
        Why::DeadlineTooShort => &[Code::DeadlineExceeded],
        Why::RecordCorrupt => &[Code::DataLoss],
        Why::TransactionNotFound | Why::InquiryNotFound | Why::BillNotFound => &[Code::NotFound],
        Why::ReferenceCodeReused => &[Code::AlreadyExists],
        Why::ReferenceCodeContended | Why::ReferenceCodeRefused | Why::RevisionChanged => {
            &[Code::Aborted]
        }
        Why::MayBeForgotten
        | Why::Expired
        | Why::PriceTooHigh
        | Why::PriceUnknown
        | Why::InquiryExpired
        | Why::InquiryAmbiguous
        | Why::InquiryAlreadyUsed
        | Why::InquiryOutdated
        | Why::InquiryUnsendable
        | Why::InquiryAnsweredAsPurchase
        | Why::TotalMismatch
        | Why::TotalUnknown
        | Why::BillPaymentOpen
        | Why::ProductUnavailable
        | Why::DepositExhausted
        | Why::GatewayCredentials
        | Why::CrossRegion
        | Why::AccountCannotReceive
        | Why::TooManyBills
        | Why::BillPaidOrInvalid
        | Why::InquiryMissing
        | Why::AccountBlacklisted
        | Why::NotResolvable
        | Why::ReferenceRetired => &[Code::FailedPrecondition],
        Why::InquiryMismatch => &[Code::FailedPrecondition, Code::Internal],
        Why::UnexpectedAnswer | Why::RequestExpired | Why::Cancelled => &[Code::Internal],
        Why::Unidentified => &[Code::Unavailable, Code::Internal],
        Why::RevisionOutOfRange | Why::CursorOutOfRange => &[Code::OutOfRange],
    }
}

/// Returns the metadata keys that errors with this reason may have, besides `sent` and `next_step`.
pub(super) fn metadata(reason: ErrorReason) -> &'static [&'static str] {
    use ErrorReason as Why;
    match reason {
        Why::Overloaded | Why::TooManyWaiters | Why::TooManyWatchers => &["limit"],
        Why::ReferenceCodeReused | Why::InquiryUnsendable => &["field"],
        Why::InquiryMismatch => &["field", "status_code"],
        Why::PriceTooHigh => &["price", "max_price"],
        Why::InquiryAlreadyUsed | Why::InquiryOutdated | Why::BillPaymentOpen => {
            &["other_reference_code"]
        }
        Why::InquiryAnsweredAsPurchase => &["other_reference_code", "price", "status_code"],
        Why::TotalMismatch => &["total"],
        Why::NotResolvable | Why::ReferenceRetired => &["state"],
        Why::RevisionChanged => &["revision"],
        Why::ReferenceCodeRefused
        | Why::InquiryExpired
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
        | Why::AccountBlacklisted => &["status_code"],
        Why::Unspecified
        | Why::InvalidRequest
        | Why::RequestUnreadable
        | Why::RequestTooLarge
        | Why::DeadlineUnreadable
        | Why::MethodUnknown
        | Why::RefusedByServer
        | Why::GatewayStopping
        | Why::StoreUnavailable
        | Why::ClaimAbandoned
        | Why::OutcomeUnreadable
        | Why::DeadlineTooShort
        | Why::RecordCorrupt
        | Why::TransactionNotFound
        | Why::ReferenceCodeContended
        | Why::MayBeForgotten
        | Why::Expired
        | Why::PriceUnknown
        | Why::InquiryNotFound
        | Why::InquiryAmbiguous
        | Why::InquiryCodeCrowded
        | Why::TotalUnknown
        | Why::OkebayarUnreachable
        | Why::NotReceived
        | Why::NoUsableAnswer
        | Why::RevisionOutOfRange
        | Why::CursorOutOfRange => &[],
    }
}

/// Returns true when errors with this reason hold a `RetryInfo`.
pub(super) fn has_retry_info(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::Overloaded
            | ErrorReason::TooManyWaiters
            | ErrorReason::TooManyWatchers
            | ErrorReason::OutcomeUnreadable
    )
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::grpc::DESCRIPTOR;

    /// Returns every reason but UNSPECIFIED with its comment in the contract, on one line.
    fn commented() -> Vec<(ErrorReason, String)> {
        let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
        let published = pool
            .get_enum_by_name("okebayar.gateway.v1.ErrorReason")
            .unwrap();
        let file = published.parent_file();
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let comment = |path: &[i32]| {
            let location = info.unwrap().location.iter().find(|at| at.path == path);
            let text = location.unwrap().leading_comments().to_owned();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let values = published.values().filter(|value| value.number() != 0);
        values
            .map(|value| {
                let reason = ErrorReason::try_from(value.number()).unwrap();
                (reason, comment(value.path()))
            })
            .collect()
    }

    #[test]
    fn no_step_leads_to_another_reference_code_while_it_may_be_sent() {
        for (reason, _) in commented() {
            let step = next_step(reason, Sent::Maybe);
            let begins_anew = [
                NextStep::BuyAgain,
                NextStep::CorrectAndBuyAgain,
                NextStep::InquireAgain,
            ];
            let is_safe = step.is_none_or(|step| !begins_anew.contains(&step));
            assert!(is_safe, "{reason:?}: {step:?}");
        }
    }

    /// Returns the name of a code as gRPC spells it.
    fn spelled(code: Code) -> String {
        let mut name = String::new();
        for letter in format!("{code:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    #[test]
    fn comment_of_each_reason_begins_with_its_codes() {
        let commented = commented();
        assert!(commented.len() >= 65);
        for (reason, comment) in commented {
            let codes = codes(reason);
            let expected = if codes.len() == ANY_CODE.len() {
                "Any code".to_owned()
            } else {
                let codes = codes.iter().copied().map(spelled);
                codes.collect::<Vec<_>>().join(" or ")
            };
            let (begin, _) = comment.split_once(". ").unwrap();
            assert_eq!(begin, expected, "{reason:?}");
        }
    }

    #[test]
    fn comment_of_each_reason_names_its_metadata_and_retry_info() {
        for (reason, comment) in commented() {
            for key in metadata(reason) {
                // The comment of the enum states it once for all refusals of OKEBAYAR.
                if *key != "status_code" {
                    assert!(comment.contains(&format!("`{key}`")), "{reason:?}: {key}");
                }
            }
            let lists_keys = comment.contains("Metadata: `");
            let has_own_keys = metadata(reason).iter().any(|key| *key != "status_code");
            assert_eq!(lists_keys, has_own_keys, "{reason:?}");
            let promises_delay = comment.contains("`google.rpc.RetryInfo`");
            assert_eq!(promises_delay, has_retry_info(reason), "{reason:?}");
        }
    }
}
