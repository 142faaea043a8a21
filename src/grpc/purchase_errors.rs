//! Errors of `PurchasePrepaid` and `PayPostpaid`.

use tonic::{Code, Status};

use super::{
    contract::v1::ErrorReason,
    deadline,
    status::{StatusBuilder, overloaded, sold_by_inquiry, status},
    store_errors,
    value_messages::amount_text,
    violations::invalid_field,
};
use crate::{
    purchase::{Holder, PurchaseError, Sent},
    store::StoreError,
    transaction::{NextStep, NotPayable, NotSent},
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
        PurchaseError::OtherContents { field, .. } => {
            let message =
                format!("{message}; read the stored transaction before you decide anything");
            let reason = ErrorReason::ReferenceCodeReused;
            StatusBuilder::new(Code::AlreadyExists, reason, sent, message)
                .metadata("field", *field)
                .build()
        }
        PurchaseError::NoSuchInquiry => {
            status(Code::NotFound, ErrorReason::InquiryNotFound, sent, message)
        }
        PurchaseError::NotPayable(why) => not_payable(why, sent, message),
        PurchaseError::InquiryAlreadyUsed {
            reference_code,
            holder,
        } => {
            let reason = ErrorReason::InquiryAlreadyUsed;
            let builder = other_transaction(reason, sent, message, reference_code);
            match holder {
                Holder::Open | Holder::Settled => builder,
                Holder::Unclaimed => builder.next_step(NextStep::InquireAgain),
            }
            .build()
        }
        PurchaseError::SoldByInquiry { reference_code } => {
            sold_by_inquiry(message, [("other_reference_code", reference_code.clone())])
        }
        PurchaseError::BillPaymentOpen { reference_code } => {
            let reason = ErrorReason::BillPaymentOpen;
            other_transaction(reason, sent, message, reference_code).build()
        }
        PurchaseError::InquiryOutdated { reference_code, .. } => {
            let reason = ErrorReason::InquiryOutdated;
            other_transaction(reason, sent, message, reference_code).build()
        }
        PurchaseError::Expired { is_everywhere } => {
            let (code, reason) = (Code::FailedPrecondition, ErrorReason::Expired);
            let builder = StatusBuilder::new(code, reason, sent, message);
            if *is_everywhere {
                builder.build()
            } else {
                builder.next_step(NextStep::RetrySameReference).build()
            }
        }
        PurchaseError::PriceTooHigh { price, max_price } => {
            let (code, reason) = (Code::FailedPrecondition, ErrorReason::PriceTooHigh);
            StatusBuilder::new(code, reason, sent, message)
                .metadata("price", amount_text(*price))
                .metadata("max_price", amount_text(*max_price))
                .build()
        }
        PurchaseError::PriceUnknown => precondition(ErrorReason::PriceUnknown, sent, message),
        PurchaseError::MayBeForgotten(_) => {
            let message = format!(
                "{message}; have OKEBAYAR confirm the status of the reference code before you retry"
            );
            precondition(ErrorReason::MayBeForgotten, sent, message)
        }
        PurchaseError::Overloaded { limit, .. } => overloaded(limit, sent, message),
        PurchaseError::Overtaken => {
            let message = format!("{message}; call again with the same reference code");
            let reason = ErrorReason::ReferenceCodeContended;
            status(Code::Aborted, reason, sent, message)
        }
        PurchaseError::NothingSent(why) => nothing_sent(*why, sent, message),
        PurchaseError::StoreUnfit(_) => unavailable(ErrorReason::StoreUnavailable, sent, &message),
        PurchaseError::NotClaimed(StoreError::Retired(tombstone)) => {
            store_errors::retired(tombstone)
        }
        PurchaseError::NotClaimed(error) => {
            let (code, reason, problem) = store_errors::problem(error);
            let message = format!("{problem}; call again with the same reference code");
            status(code, reason, sent, message)
        }
        PurchaseError::Stopping(_) => unavailable(ErrorReason::GatewayStopping, sent, &message),
        PurchaseError::OutOfTime => deadline::too_short(),
        PurchaseError::OutcomeUnreadable(_) => {
            let message = format!("{message}; call again with the same reference code");
            let reason = ErrorReason::OutcomeUnreadable;
            StatusBuilder::new(Code::Unavailable, reason, sent, message)
                .retryable()
                .build()
        }
    }
}

/// Maps the reason why an attempt sent nothing.
fn nothing_sent(why: NotSent, sent: Sent, message: String) -> Status {
    match why {
        NotSent::Overloaded => overloaded("limits.queue_timeout", sent, message),
        NotSent::Expired => precondition(ErrorReason::Expired, sent, message),
        NotSent::Unreachable => unavailable(ErrorReason::OkebayarUnreachable, sent, &message),
        NotSent::Quarantined => unavailable(ErrorReason::NotReceived, sent, &message),
        NotSent::ClaimLost => unavailable(ErrorReason::ClaimAbandoned, sent, &message),
    }
}

/// Maps the reason why an inquiry cannot be bought or paid.
fn not_payable(why: &NotPayable, sent: Sent, message: String) -> Status {
    let code = Code::FailedPrecondition;
    let build = |reason| StatusBuilder::new(code, reason, sent, message);
    match why {
        NotPayable::Expired => build(ErrorReason::InquiryExpired),
        NotPayable::OtherContents(field) => {
            build(ErrorReason::InquiryMismatch).metadata("field", *field)
        }
        NotPayable::TotalUnknown => build(ErrorReason::TotalUnknown),
        NotPayable::Unsendable(field) => {
            build(ErrorReason::InquiryUnsendable).metadata("field", *field)
        }
        NotPayable::OtherTotal(total) => {
            build(ErrorReason::TotalMismatch).metadata("total", amount_text(*total))
        }
        NotPayable::Ambiguous => build(ErrorReason::InquiryAmbiguous),
    }
    .build()
}

fn precondition(reason: ErrorReason, sent: Sent, message: String) -> Status {
    status(Code::FailedPrecondition, reason, sent, message)
}

/// Starts the error of a call that another transaction excludes. The metadata name it.
fn other_transaction(
    reason: ErrorReason,
    sent: Sent,
    message: String,
    reference_code: &str,
) -> StatusBuilder {
    StatusBuilder::new(Code::FailedPrecondition, reason, sent, message)
        .metadata("other_reference_code", reference_code)
}

fn unavailable(reason: ErrorReason, sent: Sent, message: &str) -> Status {
    let message = format!("{message}; call again with the same reference code");
    status(Code::Unavailable, reason, sent, message)
}
