//! Domain values to messages.

use jiff::Timestamp;

use super::v1;
use crate::transaction::{
    Amount, Bill, ConfirmingCause, Details, FailureReason, Finding, NotSent, Occurrences,
    Operation, QuarantinedAttempt, ReviewCause, SerialNumberStatus, Source, State, Statement,
    Transaction, UnknownCause, Verdict,
};

/// The message of a transaction.
pub(super) fn transaction(from: &Transaction) -> v1::Transaction {
    let standing = from.status();
    let state = &standing.state;
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
        operation: match contents.operation() {
            Operation::PurchasePrepaid => v1::Operation::PurchasePrepaid.into(),
            Operation::PayPostpaid => v1::Operation::PayPostpaid.into(),
        },
        product_code: order.product_code.to_string(),
        account_number: order.account_number.as_str().to_owned(),
        inquiry_code: contents
            .inquiry_code()
            .map(ToString::to_string)
            .unwrap_or_default(),
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
        status_code: standing
            .code
            .map(|code| code.to_string())
            .unwrap_or_default(),
        status_meaning: standing
            .code
            .map(|code| code.meaning().to_owned())
            .unwrap_or_default(),
        trace_code: standing
            .trace_code
            .map(|code| code.to_string())
            .unwrap_or_default(),
        serial_number: serial_number
            .map(|number| number.expose().to_owned())
            .unwrap_or_default(),
        serial_number_pending: serial == SerialNumberStatus::Pending,
        serial_number_missing: serial == SerialNumberStatus::Missing,
        price: price.map(money),
        balance: balance.map(money),
        transaction_time: time.map(timestamp),
        info: info.unwrap_or_default(),
        contradicted: matches!(
            state,
            State::NeedsReview {
                cause: ReviewCause::Contradicted,
                ..
            }
        ),
        reported_status_code: standing
            .reported
            .map(|code| code.to_string())
            .unwrap_or_default(),
        revision: i64::try_from(from.revision()).unwrap_or(i64::MAX),
        create_time: Some(timestamp(from.created_at())),
        update_time: Some(timestamp(from.updated_at())),
        timeline: timeline(from),
    }
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

/// The message of a name and a text.
pub(super) fn field(name: &str, value: &str) -> v1::Field {
    v1::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// Oldest first.
fn timeline(of: &Transaction) -> Vec<v1::Evidence> {
    let said = of.evidence().timeline().into_iter().map(evidence);
    let mut entries: Vec<v1::Evidence> = of.quarantined_attempts().iter().map(held_back).collect();
    entries.extend(said);
    entries.sort_by_key(|entry| entry.first_time.map(|time| (time.seconds, time.nanos)));
    entries
}

fn held_back(held: &QuarantinedAttempt) -> v1::Evidence {
    let at = Some(timestamp(held.at));
    v1::Evidence {
        source: v1::Source::Gateway.into(),
        description: format!(
            "attempt {} was held back, not sent: the store may have forgotten an earlier one",
            held.attempt
        ),
        first_time: at,
        last_time: at,
        count: 1,
        believed: true,
        ..v1::Evidence::default()
    }
}

fn evidence((said, seen): (&Statement, &Occurrences)) -> v1::Evidence {
    let source = match said.source {
        Source::Gateway => v1::Source::Gateway,
        Source::Answer => v1::Source::Answer,
        Source::Check => v1::Source::Check,
        Source::Callback => v1::Source::Callback,
        Source::Operator => v1::Source::Operator,
    };
    let resolution = said.resolution.as_deref();
    v1::Evidence {
        source: source.into(),
        status_code: said.code.map(|code| code.to_string()).unwrap_or_default(),
        description: description(said),
        first_time: Some(timestamp(seen.first)),
        last_time: Some(timestamp(seen.last)),
        count: i32::try_from(seen.count).unwrap_or(i32::MAX),
        believed: said.believed(),
        operator: resolution.map(|by| by.operator.clone()).unwrap_or_default(),
        note: resolution.map(|by| by.note.clone()).unwrap_or_default(),
    }
}

/// What an entry of the timeline tells: never a serial number.
fn description(said: &Statement) -> String {
    let found = match said.finding {
        Finding::NotSent { attempt, why } => {
            let why = match why {
                NotSent::Unreachable => "no connection could be made",
                NotSent::Overloaded => "it waited too long to be sent",
                NotSent::ClaimLost => "the claim could not be confirmed",
                NotSent::Quarantined if said.source == Source::Operator => {
                    "it was held back, and an operator knows that nothing was lost"
                }
                NotSent::Quarantined => "OKEBAYAR never received it",
            };
            format!("attempt {attempt} sent nothing: {why}")
        }
        Finding::Unknown(UnknownCause::Inconclusive) if said.source == Source::Check => {
            "OKEBAYAR knows the reference code; the status decides nothing".to_owned()
        }
        Finding::Unknown(UnknownCause::AboutAnother) => {
            format!("not believed: {}", unknown(UnknownCause::AboutAnother)) + &named(said)
        }
        Finding::Unknown(why) => format!("outcome unknown: {}", unknown(why)),
        Finding::Reported => "reported, not confirmed".to_owned(),
        Finding::Pending => "pending".to_owned(),
        Finding::Doubtful(_) => "doubtful failure".to_owned(),
        Finding::NotReceived => "OKEBAYAR says it never received it".to_owned(),
        Finding::Failed(_) => "failed".to_owned(),
        Finding::PaidMeanwhile => {
            "already paid, while another transaction for the bill is open".to_owned()
        }
        Finding::Resolved(Verdict::Succeeded) => "resolved: it succeeded".to_owned(),
        Finding::Resolved(Verdict::Failed) => "resolved: it failed".to_owned(),
        Finding::Resolved(Verdict::Reversed) => "resolved: it was taken back".to_owned(),
        Finding::Succeeded if said.details.serial_number.is_none() => {
            "succeeded, without serial number".to_owned()
        }
        Finding::Succeeded => "succeeded, with serial number".to_owned(),
        Finding::ChecksExhausted if said.source == Source::Answer => {
            "OKEBAYAR answered an inquiry like a purchase; an operator must ask which it was"
                .to_owned()
        }
        Finding::ChecksExhausted => "the check schedule ended without a proof".to_owned(),
        Finding::SerialNumberGivenUp => "the serial number did not come in time".to_owned(),
    };
    let meaning = said
        .code
        .map(|code| format!(" ({})", code.meaning()))
        .unwrap_or_default();
    let unread = said.details.unread.iter();
    let unread = unread.map(|(name, text)| format!("; unreadable {name} {text:?}"));
    [format!("{found}{meaning}")]
        .into_iter()
        .chain(unread)
        .collect()
}

/// Returns what an answer named that is not ours, and what came along with it.
fn named(said: &Statement) -> String {
    let price = said.details.price.map(|price| ("harga", price.to_string()));
    let texts = said.details.extra.iter();
    let texts = texts
        .map(|(name, text)| (name, text.to_owned()))
        .chain(price);
    let texts: Vec<String> = texts.map(|(name, text)| format!("{name} {text}")).collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!(": {}", texts.join(", "))
    }
}

fn unknown(why: UnknownCause) -> String {
    match why {
        UnknownCause::TimedOut => "no answer in time".to_owned(),
        UnknownCause::Broken => "the connection broke".to_owned(),
        UnknownCause::HttpStatus(status) => format!("HTTP status {status}"),
        UnknownCause::Unreadable => "the answer is unreadable".to_owned(),
        UnknownCause::AboutAnother => "the answer is about something else".to_owned(),
        UnknownCause::AboutInquiry => "the answer belongs to an inquiry".to_owned(),
        UnknownCause::Inconclusive => "the status says nothing about the outcome".to_owned(),
        UnknownCause::SenderLost => "the sending process gave no sign in time".to_owned(),
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

/// The message of an amount.
pub(super) fn money(amount: Amount) -> v1::Money {
    let (units, nanos) = amount.units_and_nanos();
    v1::Money {
        currency_code: "IDR".to_owned(),
        units,
        nanos,
    }
}

/// The message of a time.
pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}
