//! Domain values to messages.

use jiff::Timestamp;

use super::v1;
use crate::transaction::{
    Amount, Details, Doubt, FailureReason, Finding, NotSent, Operation, ReviewCause, Seen,
    SerialNumberStatus, Source, State, Statement, Transaction, Unknown,
};

/// The message of a transaction.
pub(super) fn transaction(from: &Transaction) -> v1::Transaction {
    let standing = from.standing();
    let state = &standing.state;
    let contents = from.contents();
    let Details {
        serial_number,
        price,
        balance,
        time,
        info,
        ..
    } = state.receipt().cloned().unwrap_or_default();
    let serial = match state {
        State::Succeeded { serial_number, .. } => *serial_number,
        _ => SerialNumberStatus::Present,
    };
    v1::Transaction {
        account: from.account().to_string(),
        reference_code: from.reference_code().to_string(),
        operation: match contents.operation {
            Operation::PurchasePrepaid => v1::Operation::PurchasePrepaid.into(),
        },
        product_code: contents.product_code.to_string(),
        account_number: contents.account_number.as_str().to_owned(),
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
        timeline: from
            .evidence()
            .timeline()
            .into_iter()
            .map(evidence)
            .collect(),
    }
}

fn evidence((said, seen): (&Statement, &Seen)) -> v1::Evidence {
    let source = match said.source {
        Source::Gateway => v1::Source::Gateway,
        Source::Answer => v1::Source::Answer,
        Source::Check => v1::Source::Check,
        Source::Callback => v1::Source::Callback,
    };
    v1::Evidence {
        source: source.into(),
        status_code: said.code.map(|code| code.to_string()).unwrap_or_default(),
        description: description(said),
        first_time: Some(timestamp(seen.first)),
        last_time: Some(timestamp(seen.last)),
        count: i32::try_from(seen.count).unwrap_or(i32::MAX),
        believed: said.believed(),
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
            };
            format!("attempt {attempt} sent nothing: {why}")
        }
        Finding::Unknown(why) => format!("outcome unknown: {}", unknown(why)),
        Finding::Reported => "reported, not confirmed".to_owned(),
        Finding::Pending => "pending".to_owned(),
        Finding::Doubtful(_) => "doubtful failure".to_owned(),
        Finding::NotReceived => "OKEBAYAR says it never received it".to_owned(),
        Finding::Failed(_) => "failed".to_owned(),
        Finding::Succeeded if said.details.serial_number.is_none() => {
            "succeeded, without serial number".to_owned()
        }
        Finding::Succeeded => "succeeded, with serial number".to_owned(),
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

fn unknown(why: Unknown) -> String {
    match why {
        Unknown::TimedOut => "no answer in time".to_owned(),
        Unknown::Broken => "the connection broke".to_owned(),
        Unknown::HttpStatus(status) => format!("HTTP status {status}"),
        Unknown::Unreadable => "the answer is unreadable".to_owned(),
        Unknown::AboutAnother => "the answer names another transaction".to_owned(),
        Unknown::AboutInquiry => "the answer belongs to an inquiry".to_owned(),
        Unknown::Inconclusive => "the status says nothing about the outcome".to_owned(),
        Unknown::SenderLost => "the sending process gave no sign in time".to_owned(),
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
    }
}

fn reason_of(state: &State) -> v1::Reason {
    match state {
        State::Sending | State::Pending | State::Succeeded { .. } => v1::Reason::Unspecified,
        State::Failed(why) | State::Confirming(Doubt::Unproven(why)) => failure(*why),
        State::Confirming(Doubt::Unknown(why)) => match why {
            Unknown::TimedOut | Unknown::Broken | Unknown::SenderLost => v1::Reason::NoAnswer,
            _ => v1::Reason::UnclearAnswer,
        },
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
        FailureReason::BillRefused => v1::Reason::BillRefused,
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
