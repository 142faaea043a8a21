//! The pure core under every order, repetition and contradiction (promises 4, 8,
//! 11 and 16).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::transaction::{
    About, Added, Amount, Arming, AttemptToken, Details, EvidenceSet, FailureReason, Finding,
    NotSent, Operation, ReviewCause, Ruling, SerialNumber, Source, Standing, State, Statement,
    StatusCode, Transaction, Unknown, Verdict, fold,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::core::{RULES, arming, at, schedule, transaction, wish};

const ATTEMPT: u32 = 2;
const ABOUT: About = About {
    operation: Operation::PurchasePrepaid,
    attempt: ATTEMPT,
    armed_at: Timestamp::constant(1_800_000_000, 0),
    is_held_back: false,
};

/// The same, of an attempt that was held back.
const HELD_BACK: About = About {
    is_held_back: true,
    ..ABOUT
};

fn standing(said: &[(Statement, i64)]) -> Standing {
    standing_of(ABOUT, said)
}

fn standing_of(about: About, said: &[(Statement, i64)]) -> Standing {
    let mut set = EvidenceSet::default();
    for (statement, seconds) in said {
        set.add(statement.clone(), at(*seconds));
    }
    fold(&set, about, &RULES)
}

fn success(source: Source, serial: Option<&str>) -> Statement {
    let details = Details {
        serial_number: serial.and_then(SerialNumber::read),
        price: Amount::parse("10500").ok(),
        ..Details::default()
    };
    Statement::new(source, Finding::Succeeded, StatusCode::read("000"), details)
}

fn sources() -> impl Strategy<Value = Source> {
    select(vec![
        Source::Gateway,
        Source::Callback,
        Source::Answer,
        Source::Check,
    ])
}

fn reasons() -> impl Strategy<Value = FailureReason> {
    select(vec![
        FailureReason::ServerTrouble,
        FailureReason::BillerTrouble,
        FailureReason::Unidentified,
    ])
}

/// What proves nothing, whatever comes of it.
fn unproven() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::Reported),
        Just(Finding::Pending),
        select(vec![
            Unknown::TimedOut,
            Unknown::Broken,
            Unknown::HttpStatus(500),
            Unknown::Unreadable,
            Unknown::AboutAnother,
            Unknown::AboutInquiry,
            Unknown::Inconclusive,
            Unknown::SenderLost,
        ])
        .prop_map(Finding::Unknown),
        Just(Finding::NotSent {
            attempt: ATTEMPT - 1,
            why: NotSent::Unreachable
        }),
    ]
}

fn any_finding() -> impl Strategy<Value = Finding> {
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

fn statement(findings: impl Strategy<Value = Finding>) -> impl Strategy<Value = (Statement, i64)> {
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

type Said = Vec<(Statement, i64)>;

/// Evidence, and the same in another order with repetitions.
fn shuffled() -> impl Strategy<Value = (Said, Said)> {
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

proptest! {
    #[test]
    fn any_order_and_any_repetition_end_the_same((said, again) in shuffled()) {
        prop_assert_eq!(standing(&said), standing(&again));
        prop_assert_eq!(standing_of(HELD_BACK, &said), standing_of(HELD_BACK, &again));
    }

    #[test]
    fn joining_two_halves_is_the_same_as_the_whole(
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
        prop_assert_eq!(fold(&one, ABOUT, &RULES), standing(&said));
    }

    #[test]
    fn without_proof_nothing_fails_and_nothing_succeeds(said in vec(statement(unproven()), 0..20)) {
        let state = standing(&said).state;
        prop_assert!(!state.is_settled(), "{:?}", state);
        prop_assert!(!state.safe_to_refund() && !state.safe_to_buy_again());
    }

    #[test]
    fn what_is_settled_never_becomes_unsettled(
        said in vec(statement(any_finding()), 0..10),
        more in statement(any_finding()),
    ) {
        let before = standing(&said).state;
        let mut said = said;
        said.push(more);
        let after = standing(&said).state;
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
    fn proof_of_both_is_put_before_a_human(
        said in vec(statement(any_finding()), 0..10),
        why in reasons(),
        flip in any::<bool>(),
    ) {
        let failed = Statement::new(Source::Check, Finding::Failed(why), None, Details::default());
        let mut both = vec![(success(Source::Answer, Some("1")), 3), (failed, 4)];
        if flip {
            both.reverse();
        }
        let state = standing(&[said, both].concat()).state;
        let contradicted = matches!(state, State::NeedsReview { cause: ReviewCause::Contradicted, .. });
        prop_assert!(contradicted, "{:?}", state);
        prop_assert!(!state.safe_to_refund() && !state.safe_to_buy_again() && !state.is_final());
    }

    #[test]
    fn a_check_that_proves_nothing_changes_nothing(
        said in vec(statement(any_finding()), 0..6),
        seconds in 0..64_i64,
    ) {
        let start = transaction(7);
        let statements = said.into_iter().map(|(statement, _)| statement);
        let before = start
            .observe(statements, at(seconds), &schedule())
            .map_or(start, |change| change.transaction);
        let change = before.observe_check(None, at(seconds), &schedule());
        let after = &change.transaction;
        prop_assert!(!change.is_event);
        prop_assert_eq!(after.revision(), before.revision());
        prop_assert_eq!(after.evidence(), before.evidence());
        prop_assert_eq!(after.standing(), before.standing());
        prop_assert_eq!(after.version(), before.version() + 1);
    }

    #[test]
    fn the_schedule_always_ends_and_never_hurries(
        first in prop_oneof![Just(None), statement(any_finding()).prop_map(Some)],
        seed in any::<u64>(),
    ) {
        let mut now = transaction(u128::from(seed));
        if let Some((statement, _)) = first {
            now = now.observe([statement], at(1), &schedule()).map_or(now, |change| change.transaction);
        }
        let mut last: Option<Timestamp> = None;
        let mut checks = 0;
        while let Some(due) = now.due_at() {
            if let Some(last) = last {
                prop_assert!(due.duration_since(last) >= schedule().interval_min);
            }
            now = now.observe_check(None, due, &schedule()).transaction;
            (last, checks) = (Some(due), checks + 1);
            prop_assert!(checks < 100, "it never ends");
        }
        prop_assert!(now.standing().state.ends_watch(), "{:?}", now.standing());
        let age = last.map_or(SignedDuration::ZERO, |last| last.duration_since(at(0)));
        prop_assert!(age < SignedDuration::from_hours(81), "{:?}", age);
    }

    #[test]
    fn later_mentions_of_one_success_add_no_entry(
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
    fn a_resolution_stands_until_a_proof_it_has_not_seen_contradicts_it(
        said in vec(statement(any_finding()), 0..6),
        more in vec(statement(any_finding()), 0..6),
        verdict in select(vec![Verdict::Succeeded, Verdict::Failed]),
    ) {
        let open = transaction(11);
        let exhausted = Statement::bare(Source::Gateway, Finding::ChecksExhausted);
        let said = said.into_iter().map(|(statement, _)| statement).chain([exhausted]);
        let open = open.observe(said, at(1), &schedule()).unwrap().transaction;
        prop_assert_eq!(open.standing().state.name(), "NEEDS_REVIEW");
        let ruling = ruling(verdict, open.revision());
        let change = open.resolve(&ruling, at(2), &schedule()).unwrap().unwrap();
        let settled = change.transaction;
        let expected = if verdict == Verdict::Succeeded { "SUCCEEDED" } else { "FAILED" };
        prop_assert_eq!(settled.standing().state.name(), expected);
        prop_assert!(settled.standing().state.is_final() && settled.due_at().is_none());
        // The same evidence again, whatever it was, changes nothing.
        let again: Vec<Statement> = settled.evidence().iter().map(|(one, _)| one.clone()).collect();
        let repeated = settled
            .observe(again.clone(), at(3), &schedule())
            .map_or_else(|| Arc::clone(&settled), |change| change.transaction);
        prop_assert_eq!(repeated.standing().state.name(), expected);
        // Newer evidence keeps it, or puts it before a human again.
        let known: Vec<Statement> = again.iter().map(Statement::identity).collect();
        let contradicts = more.iter().any(|(one, _)| {
            let proves = match (verdict, one.finding) {
                (Verdict::Failed, Finding::Succeeded)
                | (Verdict::Succeeded, Finding::Failed(_)) => true,
                (Verdict::Succeeded, Finding::NotSent { attempt, .. }) => attempt == 1,
                _ => false,
            };
            proves && !known.contains(&one.identity())
        });
        let may_contradict = more.iter().any(|(one, _)| {
            matches!(one.finding, Finding::Doubtful(_) | Finding::NotReceived)
        });
        let newer = more.into_iter().map(|(statement, _)| statement);
        let after = settled
            .observe(newer, at(1500), &schedule())
            .map_or_else(|| Arc::clone(&settled), |change| change.transaction);
        let name = after.standing().state.name();
        if contradicts {
            prop_assert_eq!(name, "NEEDS_REVIEW");
        } else if !may_contradict {
            prop_assert_eq!(name, expected);
        }
        prop_assert!([expected, "NEEDS_REVIEW"].contains(&name));
    }

    #[test]
    fn a_flood_of_reports_is_bounded_and_hides_nothing(count in 1..200_u32) {
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
    fn a_stored_transaction_reads_back_as_it_was(said in vec(statement(any_finding()), 0..8)) {
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

fn ruling(verdict: Verdict, revision: u64) -> Ruling {
    Ruling {
        verdict,
        operator: "siti".into(),
        note: "ticket".into(),
        serial_number: None,
        revision,
    }
}

#[test]
fn only_what_needs_review_is_settled_and_only_a_success_is_taken_back() {
    let open = transaction(12);
    let cannot = |from: &Transaction, verdict| {
        let ruling = ruling(verdict, from.revision());
        from.resolve(&ruling, at(2), &schedule()).is_err()
    };
    for verdict in [Verdict::Succeeded, Verdict::Failed, Verdict::Reversed] {
        assert!(cannot(&open, verdict), "it is SENDING");
    }
    let bought = open.observe([success(Source::Answer, Some("1"))], at(1), &schedule());
    let bought = bought.unwrap().transaction;
    assert!(cannot(&bought, Verdict::Succeeded) && cannot(&bought, Verdict::Failed));
    let late = ruling(Verdict::Reversed, bought.revision() - 1);
    assert!(
        bought.resolve(&late, at(2), &schedule()).is_err(),
        "it changed since"
    );
    let taken_back = ruling(Verdict::Reversed, bought.revision());
    let reversed = bought
        .resolve(&taken_back, at(2), &schedule())
        .unwrap()
        .unwrap();
    let state = reversed.transaction.standing().state;
    assert_eq!(state.name(), "REVERSED");
    assert!(state.is_final() && state.safe_to_refund() && state.safe_to_buy_again());
    let again = reversed
        .transaction
        .resolve(&taken_back, at(3), &schedule());
    assert!(again.unwrap().is_none(), "the same again changes nothing");
    // What OKEBAYAR still says of it was known; a failure only agrees.
    let failed = Finding::Failed(FailureReason::Cancelled);
    let later = [
        success(Source::Check, Some("1")),
        Statement::bare(Source::Check, failed),
    ];
    let later = reversed
        .transaction
        .observe(later, at(4), &schedule())
        .unwrap();
    assert_eq!(later.transaction.standing().state.name(), "REVERSED");
}

#[test]
fn two_doubtful_checks_agree_only_far_enough_apart() {
    let doubtful =
        |source, why| Statement::new(source, Finding::Doubtful(why), None, Details::default());
    let trouble = doubtful(Source::Check, FailureReason::ServerTrouble);
    let other = doubtful(Source::Check, FailureReason::BillerTrouble);
    let own = doubtful(Source::Answer, FailureReason::ServerTrouble);
    let state = |said: &[(&Statement, i64)]| {
        let said: Vec<_> = said
            .iter()
            .map(|(statement, at)| ((*statement).clone(), *at))
            .collect();
        standing(&said).state.name()
    };
    assert_eq!(state(&[(&trouble, 0), (&trouble, 299)]), "CONFIRMING");
    assert_eq!(state(&[(&trouble, 0), (&trouble, 300)]), "FAILED");
    assert_eq!(state(&[(&trouble, 0), (&other, 300)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&trouble, 300)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&own, 300)]), "CONFIRMING");
}

#[test]
fn never_received_is_believed_only_long_after_the_post() {
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    assert_eq!(
        standing(&[(not_received.clone(), 599)]).state.name(),
        "CONFIRMING"
    );
    let said = [(not_received, 600)];
    assert_eq!(standing(&said).state.name(), "FAILED");
    // Of an attempt that was held back it says more: the reference code is unused.
    let state = standing_of(HELD_BACK, &said).state;
    assert_eq!(state, State::NotSent(NotSent::HeldBack));
}

#[test]
fn what_was_held_back_is_open_until_something_is_proven() {
    let state = |said: &[(&Statement, i64)]| {
        let said: Vec<_> = said
            .iter()
            .map(|(said, at)| ((*said).clone(), *at))
            .collect();
        standing_of(HELD_BACK, &said).state.name()
    };
    let bare = |source, finding| Statement::bare(source, finding);
    let not_received = bare(Source::Check, Finding::NotReceived);
    let pending = bare(Source::Check, Finding::Pending);
    let success = success(Source::Check, Some("77"));
    assert_eq!(state(&[]), "CONFIRMING");
    assert_eq!(state(&[(&not_received, 599)]), "CONFIRMING");
    assert_eq!(state(&[(&pending, 1)]), "PENDING");
    assert_eq!(state(&[(&success, 1)]), "SUCCEEDED");
    assert_eq!(state(&[(&not_received, 600)]), "NOT_SENT");
    assert_eq!(
        state(&[(&not_received, 600), (&success, 700)]),
        "NEEDS_REVIEW"
    );
    assert_eq!(
        state(&[(&not_received, 600), (&pending, 700)]),
        "NEEDS_REVIEW"
    );
}

#[test]
fn an_attempt_after_one_that_was_held_back_begins_anew() {
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let (intent, order) = wish("reference-1", "PULSA10");
    let held = Arming {
        is_held_back: true,
        ..arming(token, 0)
    };
    let mut now = Transaction::begin(intent, order.clone(), held, RULES, &schedule()).transaction;
    assert!(now.arm_again(order.clone(), held, &schedule()).is_err());
    let trouble = Statement::bare(
        Source::Check,
        Finding::Doubtful(FailureReason::ServerTrouble),
    );
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    for (said, seconds) in [(&trouble, 100), (&not_received, 100), (&not_received, 700)] {
        let change = now.observe([said.clone()], at(seconds), &schedule());
        now = change.unwrap().transaction;
    }
    assert_eq!(now.standing().state.name(), "NOT_SENT");
    assert_eq!(now.not_sent_at(), Some(at(700)));
    let armed = now.arm_again(order.clone(), arming(token, 800), &schedule());
    let mut now = armed.unwrap().transaction;
    assert_eq!(now.standing().state, State::Sending);
    assert_eq!((now.not_sent_at(), now.is_held_back()), (None, false));
    assert_eq!(now.held_back().len(), 1, "the timeline keeps it");
    // One more of what was said before is one, not two that agree.
    let change = now.observe([trouble], at(1200), &schedule());
    now = change.unwrap().transaction;
    assert_eq!(now.standing().state.name(), "CONFIRMING");
    // What the record says survives the store.
    let text = serde_json::to_string(&*now).unwrap();
    let read: Transaction = serde_json::from_str(&text).unwrap();
    assert_eq!(read.verified().unwrap(), *now);
}

#[test]
fn a_serial_number_that_comes_later_completes_the_receipt() {
    let said = [
        (success(Source::Answer, None), 1),
        (success(Source::Check, Some("77")), 2),
    ];
    let state = standing(&said).state;
    assert!(state.is_final());
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
    assert!(!standing(&said[..1]).state.is_final());
}

#[test]
fn only_what_was_not_sent_is_armed_again() {
    let start = transaction(3);
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let order = || start.order().clone();
    assert!(
        start
            .arm_again(order(), arming(token, 1), &schedule())
            .is_err()
    );
    let unsent = Finding::NotSent {
        attempt: 1,
        why: NotSent::Unreachable,
    };
    let unsent = start
        .observe(
            [Statement::bare(Source::Gateway, unsent)],
            at(1),
            &schedule(),
        )
        .unwrap();
    assert_eq!(unsent.transaction.standing().state.name(), "NOT_SENT");
    let armed = unsent
        .transaction
        .arm_again(order(), arming(token, 2), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(armed.standing().state, State::Sending);
    assert_eq!(
        (armed.attempt(), armed.token(), armed.revision()),
        (2, token, 3)
    );
}

#[test]
fn a_too_old_transaction_is_put_before_a_human_without_a_check() {
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(5)
        .observe([pending], at(1), &schedule())
        .unwrap()
        .transaction;
    let old = at(721 * 3600);
    assert!(schedule().is_too_old(pending.armed_at(), old));
    let given_up = pending.give_up(old, &schedule()).unwrap().transaction;
    assert_eq!(given_up.standing().state.name(), "NEEDS_REVIEW");
    assert_eq!(given_up.due_at(), None);
}

#[test]
fn a_callback_about_a_too_old_transaction_asks_for_no_check() {
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(8)
        .observe([pending], at(1), &schedule())
        .unwrap()
        .transaction;
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let asked = pending
        .observe_report(report.clone(), false, at(10), &schedule())
        .unwrap()
        .transaction;
    let old = at(721 * 3600);
    assert!(!asked.may_be_checked(old, &schedule()));
    let given_up = asked.give_up(old, &schedule()).unwrap().transaction;
    assert_eq!(
        given_up.due_at(),
        None,
        "what was asked for is given up as well"
    );
    let other = Statement {
        code: StatusCode::read("200"),
        ..report
    };
    let reported = given_up
        .observe_report(other, false, old, &schedule())
        .unwrap()
        .transaction;
    assert_eq!(reported.due_at(), None);
}

#[test]
fn a_callback_brings_the_check_to_the_earliest_allowed_moment() {
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(6)
        .observe([pending], at(1), &schedule())
        .unwrap()
        .transaction;
    assert!(pending.due_at().unwrap() >= at(240));
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let asked = pending
        .observe_report(report.clone(), false, at(10), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(asked.due_at(), Some(at(10)));
    let checked = asked.observe_check(None, at(10), &schedule()).transaction;
    assert!(
        checked.due_at().unwrap() >= at(240),
        "the schedule goes on as before"
    );
    let again = checked
        .observe_report(report, false, at(12), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(again.due_at(), Some(at(15)), "5 s after the last check");
}
