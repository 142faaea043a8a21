//! The fold of evidence into a status, under every order, repetition and contradiction (promises 4, 8
//! and 16).

use okebayar_gateway::transaction::{
    Added, Amount, Details, EvidenceSet, Finding, NotSent, ReviewCause, SerialNumber, Source,
    State, Statement, StatusCode, Transaction, fold,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{
    core::{RULES, at, schedule, transaction},
    evidence::{
        ABOUT, QUARANTINED, any_finding, reasons, receipt, shuffled, statement, status, status_of,
        success, unproven,
    },
};

#[test]
fn never_received_is_believed_only_after_minimum_time() {
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    assert_eq!(
        status(&[(not_received.clone(), 659)]).state.name(),
        "CONFIRMING"
    );
    let said = [(not_received, 660)];
    assert_eq!(status(&said).state.name(), "FAILED");
    // For a quarantined attempt it proves more: the reference code is unused.
    let state = status_of(QUARANTINED, &said).state;
    assert_eq!(state, State::NotSent(NotSent::Quarantined));
}

#[test]
fn later_serial_number_completes_receipt() {
    let said = [
        (success(Source::Answer, None), 1),
        (success(Source::Check, Some("77")), 2),
    ];
    let state = status(&said).state;
    assert!(state.is_terminal());
    assert_eq!(
        state
            .receipt()
            .unwrap()
            .serial_number
            .as_ref()
            .unwrap()
            .expose(),
        "77"
    );
    assert!(!status(&said[..1]).state.is_terminal());
}

proptest! {
    #[test]
    fn status_is_independent_of_order_and_repetition((said, again) in shuffled()) {
        prop_assert_eq!(status(&said), status(&again));
        prop_assert_eq!(status_of(QUARANTINED, &said), status_of(QUARANTINED, &again));
    }

    #[test]
    fn merged_halves_equal_whole_evidence(
        said in vec(statement(any_finding()), 0..12),
        cut in 0..12_usize,
    ) {
        let cut = cut.min(said.len());
        let set = |part: &[(Statement, i64)]| {
            let mut set = EvidenceSet::default();
            for (statement, seconds) in part {
                set.add(statement.clone(), at(*seconds));
            }
            set
        };
        let (mut one, two) = (set(&said[..cut]), set(&said[cut..]));
        one.merge(&two);
        prop_assert_eq!(fold(&one, ABOUT, &RULES), status(&said));
    }

    #[test]
    fn unproven_evidence_settles_nothing(said in vec(statement(unproven()), 0..20)) {
        let state = status(&said).state;
        prop_assert!(!state.is_settled(), "{:?}", state);
        prop_assert!(!state.safe_to_refund() && !state.next_step().allows_purchase());
    }

    #[test]
    fn settled_state_never_reopens_as_unsettled(
        said in vec(statement(any_finding()), 0..10),
        more in statement(any_finding()),
    ) {
        let before = status(&said).state;
        let mut said = said;
        said.push(more);
        let after = status(&said).state;
        if before.is_settled() {
            prop_assert!(after.is_settled(), "{} became {}", before.name(), after.name());
        }
        if let State::NeedsReview { .. } = before {
            prop_assert_eq!(after.name(), before.name());
        }
        if let State::Succeeded { .. } = before {
            prop_assert!(!after.safe_to_refund());
        }
    }

    #[test]
    fn success_and_failure_escalate_to_review(
        said in vec(statement(any_finding()), 0..10),
        why in reasons(),
        flip in any::<bool>(),
    ) {
        let failed = Statement::new(Source::Check, Finding::Failed(why), None, Details::default());
        let mut both = vec![(success(Source::Answer, Some("1")), 3), (failed, 4)];
        if flip {
            both.reverse();
        }
        let state = status(&[said, both].concat()).state;
        let contradicted = matches!(state, State::NeedsReview { cause: ReviewCause::Contradicted, .. });
        prop_assert!(contradicted, "{:?}", state);
        prop_assert!(!state.safe_to_refund() && !state.next_step().allows_purchase() && !state.is_terminal());
    }

    #[test]
    fn receipt_and_never_received_escalate_to_review(
        said in vec(statement(any_finding()), 0..10),
        (shown, seconds) in receipt(),
        is_quarantined in any::<bool>(),
        flip in any::<bool>(),
    ) {
        prop_assert!(shown.shows_receipt());
        let about = if is_quarantined { QUARANTINED } else { ABOUT };
        let not_received = Statement::bare(Source::Check, Finding::NotReceived);
        let mut both = vec![(shown, seconds), (not_received, 660)];
        if flip {
            both.reverse();
        }
        let state = status_of(about, &[said, both].concat()).state;
        let contradicted = matches!(state, State::NeedsReview { cause: ReviewCause::Contradicted, .. });
        prop_assert!(contradicted, "{:?}", state);
    }

    #[test]
    fn receipt_alone_settles_nothing((shown, seconds) in receipt(), is_quarantined in any::<bool>()) {
        let about = if is_quarantined { QUARANTINED } else { ABOUT };
        let expected = status_of(about, &[(shown, seconds)]).state;
        prop_assert!(!expected.is_settled() || expected.name() == "NEEDS_REVIEW", "{:?}", expected);
    }

    #[test]
    fn repeated_success_adds_no_entry(
        balances in vec(0..1_000_000_u32, 1..40),
    ) {
        let mut set = EvidenceSet::default();
        let mut backwards = EvidenceSet::default();
        let mention = |(number, balance): (usize, &u32)| {
            let seconds = i64::try_from(number).unwrap();
            let details = Details {
                serial_number: SerialNumber::read("1111"),
                balance: Amount::parse(&balance.to_string()).ok(),
                time: Some(at(seconds)),
                info: Some(format!("advertisement {balance}")),
                ..Details::default()
            };
            let code = StatusCode::read("000");
            (Statement::new(Source::Check, Finding::Succeeded, code, details), seconds)
        };
        let said: Vec<_> = balances.iter().enumerate().map(mention).collect();
        for (statement, seconds) in &said {
            set.add(statement.clone(), at(*seconds));
        }
        for (statement, seconds) in said.iter().rev() {
            backwards.add(statement.clone(), at(*seconds));
        }
        prop_assert_eq!(set.iter().count(), 1);
        prop_assert_eq!(&set, &backwards);
        let (_, seen) = set.iter().next().unwrap();
        prop_assert_eq!(seen.count as usize, said.len());
    }

    #[test]
    fn flood_of_reports_is_bounded_and_keeps_checks(count in 1..200_u32) {
        let mut set = EvidenceSet::default();
        let mut dropped = 0;
        for number in 0..count {
            let details = Details {
                trace_code: okebayar_gateway::transaction::TraceCode::parse(format!("t{number}")).ok(),
                ..Details::default()
            };
            let report = Statement::new(Source::Callback, Finding::Reported, None, details);
            dropped += u32::from(set.add(report, at(i64::from(number))) == Added::Dropped);
        }
        prop_assert!(set.iter().count() <= 16);
        prop_assert_eq!(dropped, count.saturating_sub(16));
        set.add(Statement::bare(Source::Check, Finding::Pending), at(0));
        prop_assert_eq!(fold(&set, ABOUT, &RULES).state, State::Pending);
    }

    #[test]
    fn stored_transaction_round_trips(said in vec(statement(any_finding()), 0..8)) {
        let start = transaction(9);
        let written = start
            .observe(said.into_iter().map(|(statement, _)| statement), at(5), &schedule())
            .map_or(start, |change| change.transaction);
        let text = serde_json::to_string(&*written).unwrap();
        let read: Transaction = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &*written);
        prop_assert_eq!(read.due_at(), written.due_at());
    }
}
