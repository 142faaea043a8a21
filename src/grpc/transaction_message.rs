//! The message of a transaction.

use super::{
    contract::v1,
    next_step_message, reason_message, timeline_message,
    value_messages::{date, field, money, text_or_empty, timestamp},
};
use crate::transaction::{
    Bill, CalendarDate, Details, ExtraFields, Operation, ReviewCause, SerialNumberStatus, State,
    Transaction,
};

/// The name of the field that holds the month that a payment paid (docs/OKEBAYAR.md, section 3).
const BILLING_PERIOD: &str = "billingperiod";

/// Builds the message of a transaction with all fields.
pub(super) fn build(from: &Transaction) -> v1::Transaction {
    view(from, v1::TransactionView::Full)
}

/// Builds the message of a transaction with the fields of a view.
pub(super) fn view(from: &Transaction, view: v1::TransactionView) -> v1::Transaction {
    let is_full = view == v1::TransactionView::Full;
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
    let period = bill.and_then(|_| billing_period(&extra));
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
        bill: bill.map(|bill| bill_of(bill, period)),
        fields: extra
            .iter()
            .filter(|(name, _)| is_full && (period.is_none() || *name != BILLING_PERIOD))
            .map(|(name, value)| field(name, value))
            .collect(),
        state: state_of(state).into(),
        terminal: state.is_terminal(),
        safe_to_refund: state.safe_to_refund(),
        next_step: next_step_message::build(state.next_step()).into(),
        reason: reason_message::build(&status).into(),
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
        serial_number_missing: matches!(
            serial,
            SerialNumberStatus::Missing | SerialNumberStatus::NotGiven
        ),
        price: price.map(money),
        balance: balance.map(money),
        transaction_time: time.map(timestamp),
        info: info.unwrap_or_default(),
        contradicted: is_contradicted(state),
        reported_status_code: text_or_empty(status.reported),
        revision: i64::try_from(from.revision()).unwrap_or(i64::MAX),
        create_time: Some(timestamp(from.created_at())),
        update_time: Some(timestamp(from.updated_at())),
        timeline: if is_full {
            timeline_message::build(from)
        } else {
            Vec::new()
        },
        expire_time: from.expire_at().map(timestamp),
        max_price: from.max_price().map(money),
        labels: from
            .labels()
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        caller: String::new(),
        pending_resolution: None,
    }
}

/// Returns the value of an operation.
pub(super) fn operation_of(operation: Operation) -> v1::TransactionOperation {
    match operation {
        Operation::PurchasePrepaid => v1::TransactionOperation::PurchasePrepaid,
        Operation::PayPostpaid => v1::TransactionOperation::PayPostpaid,
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

/// Returns the month that a payment paid, if the answer names exactly one.
fn billing_period(extra: &ExtraFields) -> Option<CalendarDate> {
    let mut periods = extra.iter().filter(|(name, _)| *name == BILLING_PERIOD);
    match (periods.next(), periods.next()) {
        (Some((_, text)), None) => CalendarDate::parse_month(text.trim()),
        _ => None,
    }
}

/// Builds the message of a bill.
pub(super) fn bill_of(bill: &Bill, billing_period: Option<CalendarDate>) -> v1::Bill {
    let [_, two, three] = &bill.account_numbers;
    v1::Bill {
        account_number2: two.as_str().to_owned(),
        account_number3: three.as_str().to_owned(),
        contact_number: bill.contact_number.as_str().to_owned(),
        nominal: bill.nominal.amount().map(money),
        admin_fee: bill.fee().map(money),
        total: bill.total().map(money),
        billing_period: billing_period.map(date),
    }
}

/// Returns the value of a state.
pub(super) fn state_of(state: &State) -> v1::TransactionState {
    match state {
        State::Sending => v1::TransactionState::Sending,
        State::Pending => v1::TransactionState::Pending,
        State::Confirming(_) => v1::TransactionState::Confirming,
        State::Succeeded { .. } => v1::TransactionState::Succeeded,
        State::Failed(_) => v1::TransactionState::Failed,
        State::NotSent(_) => v1::TransactionState::NotSent,
        State::NeedsReview { .. } => v1::TransactionState::NeedsReview,
        State::Reversed { .. } => v1::TransactionState::Reversed,
    }
}
