//! Errors of `PurchasePrepaid` and `PayPostpaid`.

use tonic::{Code, Status};

use super::{
    deadline,
    status::{StatusBuilder, overloaded, sold_by_inquiry, status},
    store_errors,
    violations::invalid_field,
};
use crate::{
    purchase::{Holder, PurchaseError, Sent},
    transaction::{NotPayable, NotSent},
};

/// Maps the error of a purchase or payment call.
pub(super) fn to_status(error: &PurchaseError) -> Status {
    let (message, sent) = (error.to_string(), error.sent());
    match error {
        PurchaseError::NoSuchAccount { .. } => {
            let problem = format!("{message}; name one of the gateway's accounts");
            invalid_field("account", &problem, sent)
        }
        PurchaseError::AmbiguousInquiry => invalid_field(
            "account",
            &format!("{message}; give the account that inquired"),
            sent,
        ),
        PurchaseError::OtherContents { .. } => {
            let message =
                format!("{message}; read the stored transaction before you decide anything");
            status(Code::AlreadyExists, "REFERENCE_CODE_REUSED", sent, message)
        }
        PurchaseError::NoSuchInquiry => status(Code::NotFound, "INQUIRY_NOT_FOUND", sent, message),
        PurchaseError::NotPayable(why) => precondition(not_payable(why), sent, message),
        PurchaseError::InquiryAlreadyUsed {
            reference_code,
            holder,
        } => {
            let open = (*holder == Holder::Open).then_some(reference_code);
            bill_conflict("INQUIRY_ALREADY_USED", sent, message, open)
        }
        PurchaseError::SoldByInquiry { reference_code } => {
            sold_by_inquiry(message, [("reference_code", reference_code.clone())])
        }
        PurchaseError::BillPaymentOpen { reference_code } => {
            bill_conflict("BILL_PAYMENT_OPEN", sent, message, Some(reference_code))
        }
        PurchaseError::InquiryOutdated { .. } => precondition("INQUIRY_OUTDATED", sent, message),
        PurchaseError::MayBeForgotten(_) => {
            let message = format!(
                "{message}; have OKEBAYAR confirm the status of the reference code before you retry"
            );
            precondition("MAY_BE_FORGOTTEN", sent, message)
        }
        PurchaseError::Overloaded(_) | PurchaseError::NothingSent(NotSent::Overloaded) => {
            overloaded(sent, message)
        }
        PurchaseError::Overtaken => {
            let message = format!("{message}; call again with the same reference code");
            status(Code::Aborted, "REFERENCE_CODE_CONTENDED", sent, message)
        }
        PurchaseError::NothingSent(NotSent::Unreachable) => {
            unavailable("OKEBAYAR_UNREACHABLE", sent, &message)
        }
        PurchaseError::NothingSent(NotSent::Quarantined) => {
            unavailable("NOT_RECEIVED", sent, &message)
        }
        PurchaseError::NothingSent(NotSent::ClaimLost) | PurchaseError::StoreUnfit(_) => {
            unavailable("STORE_UNAVAILABLE", sent, &message)
        }
        PurchaseError::NotClaimed(error) => {
            let (code, reason, problem) = store_errors::problem(error);
            let message = format!("{problem}; call again with the same reference code");
            status(code, reason, sent, message)
        }
        PurchaseError::Stopping(_) => unavailable("GATEWAY_STOPPING", sent, &message),
        PurchaseError::OutOfTime => deadline::too_short(),
        PurchaseError::OutcomeUnreadable(_) => {
            let message = format!("{message}; call again with the same reference code");
            status(Code::Unknown, "OUTCOME_UNREADABLE", sent, message)
        }
    }
}

fn not_payable(why: &NotPayable) -> &'static str {
    match why {
        NotPayable::Expired => "INQUIRY_EXPIRED",
        NotPayable::OtherContents(_) => "INQUIRY_MISMATCH",
        NotPayable::TotalUnknown => "TOTAL_UNKNOWN",
        NotPayable::Unsendable(_) => "INQUIRY_UNSENDABLE",
        NotPayable::OtherTotal(_) => "TOTAL_MISMATCH",
        NotPayable::Ambiguous => "AMBIGUOUS_INQUIRY",
    }
}

fn precondition(reason: &'static str, sent: Sent, message: String) -> Status {
    status(Code::FailedPrecondition, reason, sent, message)
}

/// Builds the error of a payment that another payment of its bill excludes. The metadata name
/// the other payment if it is open.
fn bill_conflict(
    reason: &'static str,
    sent: Sent,
    message: String,
    open: Option<&String>,
) -> Status {
    let mut builder = StatusBuilder::new(Code::FailedPrecondition, reason, sent, message);
    if let Some(reference_code) = open {
        builder = builder.metadata("open_reference_code", reference_code.as_str());
    }
    builder.build()
}

fn unavailable(reason: &'static str, sent: Sent, message: &str) -> Status {
    let message = format!("{message}; call again with the same reference code");
    status(Code::Unavailable, reason, sent, message)
}
