//! The erasure of personal data (docs/RELIABILITY.md, promise 15).

use okebayar_gateway::transaction::{
    Change, Details, Finding, NotErasable, SerialNumber, Source, Statement, Transaction,
};
use proptest::prelude::*;

use crate::support::{
    core::{at, begin, schedule, transaction},
    evidence::{shuffled, success},
};

const SALT: [u8; 16] = [7; 16];

fn erase(from: &Transaction) -> Result<Option<Change>, NotErasable> {
    from.erase(SALT, at(1_000_000), &schedule())
}

/// Returns a transaction with this evidence.
fn with(said: &[(Statement, i64)]) -> Transaction {
    let mut all: Vec<_> = said.to_vec();
    all.sort_by_key(|(_, seconds)| *seconds);
    let mut current = transaction(1);
    for (statement, seconds) in all {
        if let Some(change) = current.observe([statement], at(seconds), &schedule()) {
            current = change.transaction;
        }
    }
    (*current).clone()
}

fn text_of(transaction: &Transaction) -> String {
    serde_json::to_string(transaction).unwrap()
}

proptest! {
    /// Only a final transaction is erased, and it stays what it is.
    #[test]
    fn erasure_keeps_the_state((said, _) in shuffled()) {
        let before = with(&said);
        let status = before.status();
        match erase(&before) {
            Ok(change) => {
                let after = change.unwrap().transaction;
                let erased = after.status();
                prop_assert!(status.state.is_terminal());
                prop_assert_eq!(erased.state.name(), status.state.name());
                prop_assert_eq!(erased.state.is_terminal(), true);
                prop_assert_eq!(&erased.code, &status.code);
                prop_assert_eq!(&erased.trace_code, &status.trace_code);
                let price = |of: &okebayar_gateway::transaction::State| {
                    of.receipt().and_then(|receipt| receipt.price)
                };
                prop_assert_eq!(price(&erased.state), price(&status.state));
                prop_assert_eq!(after.due_at(), None);
            }
            Err(NotErasable::NotFinal(_)) => prop_assert!(!status.state.is_terminal()),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn later_answer_does_not_bring_the_data_back() {
    let serial = "1122-3344-5566";
    let before = with(&[(success(Source::Answer, Some(serial)), 1)]);
    assert!(text_of(&before).contains(serial) && text_of(&before).contains("081234567890"));
    let erased = erase(&before).unwrap().unwrap().transaction;
    let again = Statement {
        details: Details {
            info: Some("for BUDI SANTOSO".to_owned()),
            serial_number: SerialNumber::read("9999-8888"),
            ..Details::default()
        },
        ..success(Source::Check, None)
    };
    let later = erased.observe([again.clone()], at(2_000_000), &schedule());
    let later = later.unwrap().transaction;
    assert_eq!(later.status().state.name(), "SUCCEEDED");
    let report = Statement {
        finding: Finding::Reported,
        source: Source::Callback,
        ..again
    };
    let reported = later.observe_report(report, true, at(2_000_001), &schedule());
    let reported = reported.unwrap().transaction;
    for text in [&erased, &later, &reported].map(|of| text_of(of)) {
        for personal in [serial, "081234567890", "9999-8888", "BUDI"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
    assert!(erase(&reported).unwrap().is_none(), "it is erased already");
}

/// A failure that contradicts the success is still seen, and escalates (promise 8).
#[test]
fn contradiction_is_still_seen_after_erasure() {
    let before = with(&[(success(Source::Answer, Some("77")), 1)]);
    let erased = erase(&before).unwrap().unwrap().transaction;
    let failed = Statement::bare(
        Source::Check,
        Finding::Failed(okebayar_gateway::transaction::FailureReason::BillerTrouble),
    );
    let later = erased
        .observe([failed], at(2_000_000), &schedule())
        .unwrap();
    let state = later.transaction.status().state;
    assert_eq!(state.name(), "NEEDS_REVIEW");
    let again = erase(&later.transaction).unwrap();
    assert!(again.is_none());
}

#[test]
fn erased_contents_are_recognized_by_their_hash() {
    let before = with(&[(success(Source::Answer, Some("77")), 1)]);
    let erased = erase(&before).unwrap().unwrap().transaction;
    let erasure = erased.erasure().unwrap();
    assert!(erasure.is_of(before.contents()));
    assert!(!erasure.is_of(erased.contents()));
    let salted = before.erase([8; 16], at(1_000_000), &schedule());
    let salted = salted.unwrap().unwrap().transaction;
    assert_ne!(text_of(&salted), text_of(&erased), "the salt counts");
    assert_eq!(
        erase(&begin(2).transaction).unwrap_err(),
        NotErasable::NotFinal("SENDING")
    );
}
