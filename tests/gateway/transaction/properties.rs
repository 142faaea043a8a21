//! The pure core under every order, repetition and contradiction (promises 4, 8,
//! 11 and 16).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::transaction::{
    About, Added, Amount, Arming, AttemptToken, Details, EvidenceSet, FailureReason, Finding, Kept,
    NotSent, Operation, Release, ReviewCause, Ruling, Schedule, SerialNumber, Source, Standing,
    State, Statement, StatusCode, TraceCode, Transaction, Unknown, Verdict, fold,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::core::{RULES, arming, at, begin, schedule, transaction, wish};

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

fn doubtful_check() -> Statement {
    let finding = Finding::Doubtful(FailureReason::ServerTrouble);
    let code = StatusCode::read("202");
    Statement::new(Source::Check, finding, code, Details::default())
}

/// Every way in which OKEBAYAR shows that it received the reference code.
fn receipt() -> impl Strategy<Value = (Statement, i64)> {
    let with = |source, finding, code: &str, trace_code: Option<&str>| {
        let details = Details {
            trace_code: trace_code.and_then(|text| TraceCode::parse(text).ok()),
            ..Details::default()
        };
        Statement::new(source, finding, StatusCode::read(code), details)
    };
    let (answer, check) = (Source::Answer, Source::Check);
    let inconclusive = Finding::Unknown(Unknown::Inconclusive);
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
            Finding::Unknown(Unknown::AboutInquiry),
            "000",
            Some("t1"),
        ),
        with(answer, Finding::PaidMeanwhile, "401", Some("t1")),
        with(check, doubtful, "202", None),
        with(check, inconclusive, "207", None),
    ];
    (select(shown), 0..2000_i64)
}

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
    fn receipt_and_never_received_are_put_before_a_human(
        said in vec(statement(any_finding()), 0..10),
        (shown, seconds) in receipt(),
        held_back in any::<bool>(),
        flip in any::<bool>(),
    ) {
        prop_assert!(shown.shows_receipt());
        let about = if held_back { HELD_BACK } else { ABOUT };
        let not_received = Statement::bare(Source::Check, Finding::NotReceived);
        let mut both = vec![(shown, seconds), (not_received, 660)];
        if flip {
            both.reverse();
        }
        let state = standing_of(about, &[said, both].concat()).state;
        let contradicted = matches!(state, State::NeedsReview { cause: ReviewCause::Contradicted, .. });
        prop_assert!(contradicted, "{:?}", state);
    }

    #[test]
    fn receipt_alone_settles_nothing((shown, seconds) in receipt(), held_back in any::<bool>()) {
        let about = if held_back { HELD_BACK } else { ABOUT };
        let expected = standing_of(about, &[(shown, seconds)]).state;
        prop_assert!(!expected.is_settled() || expected.name() == "NEEDS_REVIEW", "{:?}", expected);
    }

    /// Gateways whose clocks differ by at most the skew, and go back by any amount.
    #[test]
    fn doubtful_checks_agree_only_over_the_whole_gap(
        steps in vec((0..400_i64, -30..=30_i64, any::<bool>()), 1..12),
        back in 0..100_000_i64,
    ) {
        let mut now = transaction(21);
        // A clock far ahead, put right since.
        now = now.observe([doubtful_check()], at(1 + back), &schedule()).unwrap().transaction;
        let (mut time, mut run_began) = (10, None);
        for (step, skew, is_pending) in steps {
            time += step;
            let said = if is_pending {
                Statement::bare(Source::Check, Finding::Pending)
            } else {
                doubtful_check()
            };
            now = now.observe_check(Some(said), at(time + skew), &schedule()).transaction;
            run_began = if is_pending { None } else { run_began.or(Some(time)) };
            let is_long = run_began.is_some_and(|began| time - began >= 300);
            // The first one, seen by the wrong clock, may have begun a run of its own.
            let is_first_run = now.evidence().iter().all(|(said, _)| said.finding != Finding::Pending);
            let state = now.standing().state;
            if let State::Failed(_) = state {
                prop_assert!(is_long || is_first_run && time >= 300, "at {}", time);
                return Ok(());
            }
        }
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
    // Five minutes, and the one by which two clocks may differ.
    assert_eq!(state(&[(&trouble, 0), (&trouble, 359)]), "CONFIRMING");
    assert_eq!(state(&[(&trouble, 0), (&trouble, 360)]), "FAILED");
    assert_eq!(state(&[(&trouble, 0), (&other, 360)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&trouble, 360)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&own, 360)]), "CONFIRMING");
}

/// The state after these checks, each at its time.
fn checked(said: &[(&Statement, i64)]) -> Arc<Transaction> {
    let mut now = transaction(31);
    for (statement, seconds) in said {
        let statement = Some((*statement).clone());
        now = now
            .observe_check(statement, at(*seconds), &schedule())
            .transaction;
    }
    now
}

#[test]
fn doubtful_checks_never_agree_across_another_answer() {
    let trouble = doubtful_check();
    let bare = |finding| Statement::bare(Source::Check, finding);
    let others = [
        bare(Finding::Pending),
        bare(Finding::NotReceived),
        bare(Finding::Doubtful(FailureReason::BillerTrouble)),
        bare(Finding::Unknown(Unknown::Inconclusive)),
    ];
    let state = |said: &[(&Statement, i64)]| checked(said).standing().state.name();
    for other in &others {
        let across = [(&trouble, 100), (other, 300), (&trouble, 500)];
        assert_eq!(state(&across), "CONFIRMING", "{other:?}");
        // They agree anew, counted from the first after it.
        let soon = [&across[..], &[(&trouble, 859)]].concat();
        assert_eq!(state(&soon), "CONFIRMING", "{other:?}");
    }
    let pending = &others[0];
    let across = [(&trouble, 100), (pending, 300), (&trouble, 500)];
    let anew = [&across[..], &[(&trouble, 860)]].concat();
    assert_eq!(state(&anew), "FAILED");
    // What had agreed before stays a failure.
    let before = [(&trouble, 100), (&trouble, 460), (pending, 500)];
    assert_eq!(state(&before), "FAILED");
    // Otherwise the end of the schedule puts it before a human.
    let mut now = checked(&across);
    while let Some(due) = now.due_at() {
        now = now.observe_check(None, due, &schedule()).transaction;
    }
    assert_eq!(now.standing().state.name(), "NEEDS_REVIEW");
}

#[test]
fn an_answer_that_goes_back_and_forth_is_left_to_a_human_and_bounded() {
    let (trouble, pending) = (
        doubtful_check(),
        Statement::bare(Source::Check, Finding::Pending),
    );
    let mut now = transaction(32);
    for round in 0..200 {
        for (said, seconds) in [(&pending, 0), (&trouble, 10), (&trouble, 20)] {
            let time = at(100 + round * 60 + seconds);
            let change = now.observe([said.clone()], time, &schedule());
            now = change.map_or(now, |change| change.transaction);
        }
    }
    assert!(now.evidence().iter().count() < 16);
    assert_eq!(now.standing().state.name(), "CONFIRMING");
}

#[test]
fn a_clock_that_goes_back_settles_nothing_early() {
    let trouble = doubtful_check();
    // An hour ahead, then put right: ten seconds lie between them.
    let now = checked(&[(&trouble, 3700), (&trouble, 110), (&trouble, 3600)]);
    assert_eq!(now.standing().state.name(), "CONFIRMING");
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let ahead = arming(token, 3600);
    let start = Transaction::begin(intent, order, ahead, RULES, &schedule()).transaction;
    let early = start.observe([not_received], at(700), &schedule()).unwrap();
    assert_eq!(early.transaction.standing().state.name(), "CONFIRMING");
    // Old by the clock that armed it or by any other: no check of what may be too old.
    let month = 720 * 3600;
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(5).observe([pending], at(1), &schedule());
    let pending = pending.unwrap().transaction;
    assert!(pending.may_be_checked(at(month - 60), &schedule()));
    assert!(!pending.may_be_checked(at(month - 59), &schedule()));
}

#[test]
fn a_record_without_a_skew_keeps_its_standing() {
    let trouble = doubtful_check();
    let now = checked(&[(&trouble, 100), (&trouble, 400)]);
    assert_eq!(now.standing().state.name(), "CONFIRMING");
    let mut written = serde_json::to_value(&*now).unwrap();
    let rules = written["rules"].as_object_mut().unwrap();
    assert!(rules.remove("clock_skew").is_some());
    let read: Transaction = serde_json::from_value(written).unwrap();
    assert_eq!(read.standing().state.name(), "FAILED");
}

#[test]
fn never_received_is_believed_only_long_after_the_post() {
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    assert_eq!(
        standing(&[(not_received.clone(), 659)]).state.name(),
        "CONFIRMING"
    );
    let said = [(not_received, 660)];
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
    assert_eq!(state(&[(&not_received, 659)]), "CONFIRMING");
    assert_eq!(state(&[(&pending, 1)]), "PENDING");
    assert_eq!(state(&[(&success, 1)]), "SUCCEEDED");
    assert_eq!(state(&[(&not_received, 660)]), "NOT_SENT");
    assert_eq!(
        state(&[(&not_received, 660), (&success, 700)]),
        "NEEDS_REVIEW"
    );
    assert_eq!(
        state(&[(&not_received, 660), (&pending, 700)]),
        "NEEDS_REVIEW"
    );
    // A gateway that sent it before the store lost the record tells late how that ended.
    for (source, why) in [
        (Source::Gateway, Unknown::TimedOut),
        (Source::Gateway, Unknown::Broken),
        (Source::Answer, Unknown::HttpStatus(500)),
        (Source::Answer, Unknown::Unreadable),
    ] {
        let sent = bare(source, Finding::Unknown(why));
        assert_eq!(state(&[(&sent, 45), (&not_received, 659)]), "CONFIRMING");
        assert_eq!(state(&[(&sent, 45), (&not_received, 660)]), "FAILED");
        assert_eq!(state(&[(&not_received, 660), (&sent, 700)]), "FAILED");
    }
}

#[test]
fn a_caller_who_keeps_asking_does_not_keep_it_from_a_human() {
    let schedule = schedule();
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let mut current = transaction(1)
        .observe([pending], at(1), &schedule)
        .unwrap()
        .transaction;
    for asked in (60..).step_by(60) {
        assert!(asked < 74 * 3600, "it is asked about for ever");
        current = current
            .observe_check(None, at(asked), &schedule)
            .transaction;
        if matches!(current.standing().state, State::NeedsReview { .. }) {
            return;
        }
    }
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
    let trouble = doubtful_check();
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    let say = |said: &[(&Statement, i64)]| {
        let mut now = Arc::clone(&now);
        for (said, seconds) in said {
            let change = now.observe([(*said).clone()], at(*seconds), &schedule());
            now = change.unwrap().transaction;
        }
        now
    };
    // A doubtful check shows OKEBAYAR's record, so the reference code was received: what
    // says otherwise contradicts it, and is no licence to send. (This test once asserted
    // NOT_SENT here, after which the same reference code was sent again.)
    let said = [(&trouble, 100), (&not_received, 100), (&not_received, 700)];
    let contradicted = say(&said);
    assert_eq!(contradicted.standing().state.name(), "NEEDS_REVIEW");
    let sending_again = contradicted.arm_again(order.clone(), held, &schedule());
    assert!(sending_again.is_err());
    now = say(&[(&not_received, 100), (&not_received, 700)]);
    assert_eq!(now.standing().state.name(), "NOT_SENT");
    assert_eq!(now.not_sent_at(), Some(at(700)));
    let armed = now.arm_again(order.clone(), arming(token, 800), &schedule());
    let mut now = armed.unwrap().transaction;
    assert_eq!(now.standing().state, State::Sending);
    assert_eq!((now.not_sent_at(), now.is_held_back()), (None, false));
    assert_eq!(now.held_back().len(), 1, "the timeline keeps it");
    // What was said of the earlier attempt is not said of this one, whichever clock armed
    // it.
    let change = now.observe([not_received], at(1200), &schedule());
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

/// Two gateways with different time-outs, as in a rollout.
#[test]
fn no_check_of_a_gateway_with_shorter_time_outs_overtakes_the_post() {
    let long = Schedule {
        sending: SignedDuration::from_mins(10),
        ..schedule()
    };
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &long).transaction;
    let over = at(0) + SignedDuration::from_mins(11);
    assert_eq!(begun.sending_until(&schedule()), Some(over));
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let reported = begun.observe_report(report, false, at(1), &schedule());
    let reported = reported.unwrap().transaction;
    assert_eq!(reported.due_at(), Some(over));
}

/// A record that was written again after a loss, and what it says of the time before.
#[test]
fn record_written_again_follows_a_loss() {
    let begun = begin(1);
    assert!(!begun.transaction.follows_loss());
    let said = Statement::bare(Source::Gateway, Finding::Unknown(Unknown::TimedOut));
    let next = begun.transaction.observe([said], at(1), &schedule());
    let rewritten = next.unwrap().rewritten();
    assert!(rewritten.from.is_none() && rewritten.is_event);
    assert!(rewritten.transaction.follows_loss());
}

#[test]
fn post_of_a_lost_attempt_contradicts_an_earlier_not_sent() {
    let begun = begin(1).transaction;
    let not_sent = Finding::NotSent {
        attempt: 1,
        why: NotSent::Unreachable,
    };
    for (why, is_contradicted) in [(Unknown::TimedOut, true), (Unknown::SenderLost, false)] {
        let said = [not_sent, Finding::Unknown(why)].map(|it| Statement::bare(Source::Gateway, it));
        let standing = begun.observe(said, at(1), &schedule()).unwrap();
        let state = standing.transaction.standing().state;
        let is_review = matches!(
            state,
            State::NeedsReview {
                cause: ReviewCause::Contradicted,
                ..
            }
        );
        assert_eq!(is_review, is_contradicted, "{why:?}: {state:?}");
    }
}

#[test]
fn no_check_that_is_asked_for_overtakes_the_post() {
    // The claim, the longest POST, and the minute by which two clocks may differ.
    let over = 65 + 60;
    let start = transaction(41);
    assert_eq!(start.due_at(), Some(at(over)));
    let report = Statement::bare(Source::Callback, Finding::Reported);
    let reported = start
        .observe_report(report.clone(), false, at(2), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(reported.due_at(), Some(at(over)));
    assert!(!reported.may_be_checked(at(3), &schedule()));
    assert!(
        reported.ask_check(at(3), &schedule()).is_none(),
        "one is asked for already"
    );
    // Once the answer is there the check waits no longer.
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let answered = reported
        .observe([pending], at(20), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(answered.due_at(), Some(at(20)));

    // The next attempt's POST is not overtaken either, whatever was asked for before.
    let unsent = Finding::NotSent {
        attempt: 1,
        why: NotSent::Unreachable,
    };
    let unsent = reported
        .observe(
            [Statement::bare(Source::Gateway, unsent)],
            at(30),
            &schedule(),
        )
        .unwrap()
        .transaction;
    assert_eq!(unsent.due_at(), Some(at(30)), "who called back?");
    let token = AttemptToken::new(uuid::Uuid::from_u128(5));
    let armed = unsent
        .arm_again(unsent.order().clone(), arming(token, 40), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(armed.due_at(), Some(at(40 + over)));
    let until = armed.sending_until(&schedule());
    assert_eq!(until, Some(at(40 + over)));
}

#[test]
fn only_what_okebayar_and_callbacks_know_nothing_of_is_released() {
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let held = Arming {
        is_held_back: true,
        ..arming(token, 0)
    };
    let begin = |arming| {
        let (intent, order) = (intent.clone(), order.clone());
        Transaction::begin(intent, order, arming, RULES, &schedule()).transaction
    };
    let by = Release {
        operator: "guard end".into(),
        reason: "nothing was lost".into(),
    };
    let release = |from: &Transaction| from.release(&by, at(500), &schedule());
    let start = begin(held);
    assert_eq!(release(&start).unwrap_err(), Kept::NotChecked);
    let unanswered = start.observe_check(None, at(10), &schedule()).transaction;
    assert_eq!(release(&unanswered).unwrap_err(), Kept::NotChecked);
    let absent = start
        .observe_absence_since(&start, at(10), &schedule())
        .transaction;
    for (source, finding, kept) in [
        (Source::Callback, Finding::Reported, Kept::CalledBack),
        (
            Source::Check,
            Finding::Unknown(Unknown::Inconclusive),
            Kept::MayBeSent,
        ),
        // A gateway wrote the record again that the store had lost under its POST.
        (
            Source::Gateway,
            Finding::Unknown(Unknown::TimedOut),
            Kept::MayBeSent,
        ),
        (Source::Check, Finding::Pending, Kept::NotHeldBack),
        (Source::Check, Finding::Succeeded, Kept::NotHeldBack),
    ] {
        let said = [Statement::bare(source, finding)];
        let known = absent.observe(said, at(20), &schedule()).unwrap();
        assert_eq!(
            release(&known.transaction).unwrap_err(),
            kept,
            "{finding:?}"
        );
    }
    let change = release(&absent).unwrap();
    assert!(change.is_event);
    let released = change.transaction;
    let state = released.standing().state;
    assert_eq!(state, State::NotSent(NotSent::HeldBack));
    assert_eq!(released.not_sent_at(), Some(at(500)));
    assert_eq!(release(&released).unwrap_err(), Kept::NotHeldBack);
    let said = released.evidence().iter().last().unwrap().0;
    assert_eq!(said.resolution.as_ref().unwrap().note, "nothing was lost");
    // OKEBAYAR's word counts as a check, and sent attempts are never released.
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    let told = start.observe([not_received], at(10), &schedule()).unwrap();
    assert!(release(&told.transaction).is_ok());
    let sent = begin(arming(token, 0));
    let lost = sent.observe_check(None, at(125), &schedule()).transaction;
    assert_eq!(release(&lost).unwrap_err(), Kept::NotHeldBack);
    // If it was received after all, nothing that was concluded stands.
    let success = [success(Source::Check, Some("1"))];
    let late = released.observe(success, at(600), &schedule()).unwrap();
    assert_eq!(late.transaction.standing().state.name(), "NEEDS_REVIEW");
}
