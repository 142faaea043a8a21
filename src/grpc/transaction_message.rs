//! The message of a transaction.

use super::{
    contract::v1,
    timeline_message,
    value_messages::{field, money, text_or_empty, timestamp},
};
use crate::transaction::{
    Bill, ConfirmingCause, Details, FailureReason, NotSent, Operation, ReviewCause,
    SerialNumberStatus, State, Transaction, UnknownCause,
};

/// Builds the message of a transaction.
pub(super) fn build(from: &Transaction) -> v1::Transaction {
    let status = from.status();
    let state = &status.state;
    let (contents, order) = (from.contents(), from.order());
    let bill = order
        .inquired
        .as_ref()
        .and_then(|inquired| inquired.bill.as_ref());
    let Details {
        serial_number,
        price,
        balance,
        time,
        info,
        extra,
        ..
    } = state.receipt().cloned().unwrap_or_default();
    let serial = match state {
        State::Succeeded { serial_number, .. } => *serial_number,
        _ => SerialNumberStatus::Present,
    };
    v1::Transaction {
        account: from.account().to_string(),
        reference_code: from.reference_code().to_string(),
        operation: operation_of(contents.operation()).into(),
        product_code: order.product_code.to_string(),
        account_number: order.account_number.as_str().to_owned(),
        inquiry_code: text_or_empty(contents.inquiry_code()),
        bill: bill.map(bill_of),
        fields: extra
            .iter()
            .map(|(name, value)| field(name, value))
            .collect(),
        state: state_of(state).into(),
        r#final: state.is_final(),
        safe_to_refund: state.safe_to_refund(),
        safe_to_buy_again: state.safe_to_buy_again(),
        reason: reason_of(state).into(),
        status_code: text_or_empty(status.code),
        status_meaning: status
            .code
            .map(|code| code.meaning().to_owned())
            .unwrap_or_default(),
        trace_code: text_or_empty(status.trace_code),
        serial_number: serial_number
            .map(|number| number.expose().to_owned())
            .unwrap_or_default(),
        serial_number_pending: serial == SerialNumberStatus::Pending,
        serial_number_missing: serial == SerialNumberStatus::Missing,
        price: price.map(money),
        balance: balance.map(money),
        transaction_time: time.map(timestamp),
        info: info.unwrap_or_default(),
        contradicted: is_contradicted(state),
        reported_status_code: text_or_empty(status.reported),
        revision: i64::try_from(from.revision()).unwrap_or(i64::MAX),
        create_time: Some(timestamp(from.created_at())),
        update_time: Some(timestamp(from.updated_at())),
        timeline: timeline_message::build(from),
    }
}

fn operation_of(operation: Operation) -> v1::Operation {
    match operation {
        Operation::PurchasePrepaid => v1::Operation::PurchasePrepaid,
        Operation::PayPostpaid => v1::Operation::PayPostpaid,
    }
}

fn is_contradicted(state: &State) -> bool {
    matches!(
        state,
        State::NeedsReview {
            cause: ReviewCause::Contradicted,
            ..
        }
    )
}

fn bill_of(bill: &Bill) -> v1::Bill {
    let [_, two, three] = &bill.account_numbers;
    v1::Bill {
        account_number2: two.as_str().to_owned(),
        account_number3: three.as_str().to_owned(),
        contact_number: bill.contact_number.as_str().to_owned(),
        nominal: bill.nominal.amount().map(money),
        admin_fee: bill.fee().map(money),
        total: bill.total().map(money),
    }
}

fn state_of(state: &State) -> v1::State {
    match state {
        State::Sending => v1::State::Sending,
        State::Pending => v1::State::Pending,
        State::Confirming(_) => v1::State::Confirming,
        State::Succeeded { .. } => v1::State::Succeeded,
        State::Failed(_) => v1::State::Failed,
        State::NotSent(_) => v1::State::NotSent,
        State::NeedsReview { .. } => v1::State::NeedsReview,
        State::Reversed { .. } => v1::State::Reversed,
    }
}

fn reason_of(state: &State) -> v1::Reason {
    match state {
        State::Sending | State::Pending | State::Succeeded { .. } => v1::Reason::Unspecified,
        State::Failed(why) | State::Confirming(ConfirmingCause::Unproven(why)) => failure(*why),
        State::Confirming(ConfirmingCause::Unknown(why)) => match why {
            UnknownCause::TimedOut | UnknownCause::Broken | UnknownCause::SenderLost => {
                v1::Reason::NoAnswer
            }
            _ => v1::Reason::UnclearAnswer,
        },
        State::Confirming(ConfirmingCause::Quarantined) => v1::Reason::HeldBack,
        State::NotSent(NotSent::Quarantined) => v1::Reason::NotReceived,
        State::NotSent(NotSent::Unreachable) => v1::Reason::Unreachable,
        State::NotSent(NotSent::Overloaded | NotSent::ClaimLost) => v1::Reason::Overloaded,
        State::NeedsReview {
            cause: ReviewCause::Contradicted,
            ..
        } => v1::Reason::Contradicted,
        State::NeedsReview {
            cause: ReviewCause::ChecksExhausted,
            ..
        } => v1::Reason::ChecksExhausted,
        State::NeedsReview {
            cause: ReviewCause::PaidMeanwhile,
            ..
        } => v1::Reason::PaidMeanwhile,
        State::Reversed { .. } => v1::Reason::Resolved,
    }
}

fn failure(why: FailureReason) -> v1::Reason {
    match why {
        FailureReason::ProductUnavailable => v1::Reason::ProductUnavailable,
        FailureReason::BillerTrouble => v1::Reason::BillerTrouble,
        FailureReason::ServerTrouble => v1::Reason::ServerTrouble,
        FailureReason::DepositExhausted => v1::Reason::DepositExhausted,
        FailureReason::WrongAccountNumber => v1::Reason::WrongAccountNumber,
        FailureReason::WrongProductCode => v1::Reason::WrongProductCode,
        FailureReason::BadFormat => v1::Reason::BadFormat,
        FailureReason::GatewayCredentials => v1::Reason::GatewayCredentials,
        FailureReason::CrossRegion => v1::Reason::CrossRegion,
        FailureReason::RequestExpired => v1::Reason::RequestExpired,
        FailureReason::AccountCannotReceive => v1::Reason::AccountCannotReceive,
        FailureReason::ProductAccountMismatch => v1::Reason::ProductAccountMismatch,
        FailureReason::TooManyBills => v1::Reason::TooManyBills,
        FailureReason::Cancelled => v1::Reason::Cancelled,
        FailureReason::BillRefused | FailureReason::AlreadyPaid => v1::Reason::BillRefused,
        FailureReason::Resolved => v1::Reason::Resolved,
        FailureReason::AccountBlacklisted => v1::Reason::AccountBlacklisted,
        FailureReason::NotReceived => v1::Reason::NotReceived,
        FailureReason::Unidentified => v1::Reason::Unidentified,
    }
}
