//! Statements and the status that they fold into, with strategies for property tests.

use std::sync::Arc;

use jiff::Timestamp;
use okebayar_gateway::transaction::{
    Amount, Details, EvidenceSet, FailureReason, Finding, LatestAttempt, NotSent, Operation,
    Ruling, SerialNumber, Source, Statement, StatusCode, TraceCode, Transaction, TransactionStatus,
    UnknownCause, Verdict, fold,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::core::{RULES, at, schedule, transaction};

pub const ATTEMPT: u32 = 2;

pub const ABOUT: LatestAttempt = LatestAttempt {
    operation: Operation::PurchasePrepaid,
    number: ATTEMPT,
    armed_at: Timestamp::constant(1_800_000_000, 0),
    is_quarantined: false,
    expire_at: None,
};

/// The same attempt, quarantined.
pub const QUARANTINED: LatestAttempt = LatestAttempt {
    is_quarantined: true,
    expire_at: None,
    ..ABOUT
};

pub fn status(said: &[(Statement, i64)]) -> TransactionStatus {
    status_of(ABOUT, said)
}

pub fn status_of(about: LatestAttempt, said: &[(Statement, i64)]) -> TransactionStatus {
    let mut set = EvidenceSet::default();
    for (statement, seconds) in said {
        set.add(statement.clone(), at(*seconds));
    }
    fold(&set, about, &RULES)
}

pub fn success(source: Source, serial: Option<&str>) -> Statement {
    let details = Details {
        serial_number: serial.and_then(SerialNumber::read),
        price: Amount::parse("10500").ok(),
        ..Details::default()
    };
    Statement::new(source, Finding::Succeeded, StatusCode::read("000"), details)
}

pub fn sources() -> impl Strategy<Value = Source> {
    select(vec![
        Source::Gateway,
        Source::Callback,
        Source::Answer,
        Source::Check,
    ])
}

pub fn reasons() -> impl Strategy<Value = FailureReason> {
    select(vec![
        FailureReason::ServerTrouble,
        FailureReason::BillerTrouble,
        FailureReason::Unidentified,
    ])
}

/// Generates findings that prove nothing.
pub fn unproven() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::Reported),
        Just(Finding::Pending),
        select(vec![
            UnknownCause::TimedOut,
            UnknownCause::Broken,
            UnknownCause::HttpStatus(500),
            UnknownCause::Unreadable,
            UnknownCause::AboutAnother,
            UnknownCause::AboutInquiry,
            UnknownCause::Inconclusive,
            UnknownCause::SenderLost,
        ])
        .prop_map(Finding::Unknown),
        Just(Finding::NotSent {
            attempt: ATTEMPT - 1,
            why: NotSent::Unreachable
        }),
    ]
}

pub fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        4 => unproven(),
        1 => Just(Finding::NotSent { attempt: ATTEMPT, why: NotSent::Unreachable }),
        2 => reasons().prop_map(Finding::Doubtful),
        1 => Just(Finding::NotReceived),
        2 => reasons().prop_map(Finding::Failed),
        2 => Just(Finding::Succeeded),
        1 => Just(Finding::ChecksExhausted),
        1 => Just(Finding::PaidMeanwhile),
        1 => Just(Finding::SerialNumberGivenUp),
    ]
}

pub fn statement(
    findings: impl Strategy<Value = Finding>,
) -> impl Strategy<Value = (Statement, i64)> {
    let serial = proptest::option::of(select(vec!["1111", "2222"]));
    (sources(), findings, serial, 0..2000_i64).prop_map(|(source, finding, serial, seconds)| {
        let details = Details {
            serial_number: serial.and_then(SerialNumber::read),
            ..Details::default()
        };
        (
            Statement::new(source, finding, StatusCode::read("000"), details),
            seconds,
        )
    })
}

pub type Said = Vec<(Statement, i64)>;

pub fn doubtful_check() -> Statement {
    let finding = Finding::Doubtful(FailureReason::ServerTrouble);
    let code = StatusCode::read("202");
    Statement::new(Source::Check, finding, code, Details::default())
}

/// Generates every statement that shows OKEBAYAR's receipt of the reference code.
pub fn receipt() -> impl Strategy<Value = (Statement, i64)> {
    let with = |source, finding, code: &str, trace_code: Option<&str>| {
        let details = Details {
            trace_code: trace_code.and_then(|text| TraceCode::parse(text).ok()),
            ..Details::default()
        };
        Statement::new(source, finding, StatusCode::read(code), details)
    };
    let (answer, check) = (Source::Answer, Source::Check);
    let inconclusive = Finding::Unknown(UnknownCause::Inconclusive);
    let doubtful = Finding::Doubtful(FailureReason::ServerTrouble);
    let shown = vec![
        with(answer, Finding::Pending, "002", None),
        with(answer, Finding::Pending, "150", Some("t1")),
        with(check, Finding::Pending, "003", None),
        with(answer, inconclusive, "208", None),
        with(answer, inconclusive, "510", None),
        with(answer, inconclusive, "241", Some("t1")),
        with(answer, doubtful, "202", Some("t1")),
        with(
            answer,
            Finding::Unknown(UnknownCause::AboutInquiry),
            "000",
            Some("t1"),
        ),
        with(answer, Finding::PaidMeanwhile, "401", Some("t1")),
        with(check, doubtful, "202", None),
        with(check, inconclusive, "207", None),
    ];
    (select(shown), 0..2000_i64)
}

/// Generates evidence, and the same evidence in another order with repetitions.
pub fn shuffled() -> impl Strategy<Value = (Said, Said)> {
    vec(statement(any_finding()), 0..12).prop_flat_map(|said| {
        let repeated = vec(
            proptest::sample::subsequence(said.clone(), 0..=said.len()),
            0..3,
        );
        let again = repeated.prop_flat_map({
            let said = said.clone();
            move |more| {
                let all: Vec<_> = said
                    .iter()
                    .cloned()
                    .chain(more.into_iter().flatten())
                    .collect();
                Just(all).prop_shuffle()
            }
        });
        (Just(said), again)
    })
}

pub fn ruling(verdict: Verdict, revision: u64) -> Ruling {
    Ruling {
        verdict,
        operator: "siti".into(),
        note: "ticket".into(),
        serial_number: None,
        revision,
    }
}

/// Returns the transaction after these checks, each at its time.
pub fn checked(said: &[(&Statement, i64)]) -> Arc<Transaction> {
    let mut now = transaction(31);
    for (statement, seconds) in said {
        let statement = Some((*statement).clone());
        now = now
            .observe_check(statement, at(*seconds), &schedule())
            .transaction;
    }
    now
}
