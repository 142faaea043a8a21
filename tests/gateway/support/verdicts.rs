//! Answers about one transaction, and what they prove.

use std::sync::{Arc, LazyLock};

use jiff::tz::TimeZone;
use okebayar_gateway::{
    okebayar::{
        answer::Answer,
        format::Format,
        interpret::{AnswerContext, interpret_for},
        redact::RequestSecrets,
        subject::Subject,
        verdict::Ignored,
    },
    transaction::{
        AttemptToken, Details, Finding, InquiriesMade, Source, Statement, StatusCode, TraceCode,
        Transaction,
    },
};

use crate::support::core::{RULES, arming, at, schedule, wish};

pub const REFERENCE: &str = "kodeReferensiPartner";

pub const ACCOUNT_NUMBER: &str = "081234567890";

/// Creates a transaction whose POST was answered with a trace code and without an outcome.
pub fn asked() -> Arc<Transaction> {
    let (intent, order) = wish(REFERENCE, "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let pending = Statement::new(
        Source::Answer,
        Finding::Pending,
        StatusCode::read("002"),
        Details {
            trace_code: TraceCode::parse("own").ok(),
            ..Details::default()
        },
    );
    let observed = begun.transaction.observe([pending], at(1), &schedule());
    observed.unwrap().transaction
}

/// Returns the subject of a check without inquiries under the same reference code.
pub fn about(transaction: &Transaction) -> Subject<'_> {
    static NONE: LazyLock<InquiriesMade> = LazyLock::new(InquiriesMade::default);
    Subject {
        transaction,
        inquired: &NONE,
    }
}

/// Writes and reads an answer in a format.
pub fn read(fields: &[(&str, &str)], format: Format) -> Answer {
    let body = String::from_utf8(format.write(fields, &[])).unwrap();
    let body = body.replace("transaction>", "transaction-status>");
    let reading = AnswerContext {
        zone: &TimeZone::UTC,
        secrets: &RequestSecrets::default(),
        member: Some("userId"),
    };
    interpret_for(format.read(body.as_bytes()).unwrap(), &reading).unwrap()
}

/// The result of a verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proves {
    Success,
    Pending,
    Failure,
    Doubt,
    NeverReceived,
    Nothing(Ignored),
}

pub fn proves(said: Result<Statement, Ignored>) -> Proves {
    match said {
        Err(ignored) => Proves::Nothing(ignored),
        Ok(said) => match said.finding {
            Finding::Succeeded => Proves::Success,
            Finding::Pending => Proves::Pending,
            Finding::Failed(_) => Proves::Failure,
            Finding::Doubtful(_) => Proves::Doubt,
            Finding::NotReceived => Proves::NeverReceived,
            other => panic!("{other:?}"),
        },
    }
}
