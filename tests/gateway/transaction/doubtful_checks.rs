//! Doubtful failures: two checks must agree, far enough apart (promise 4).

use okebayar_gateway::transaction::{
    AttemptToken, Details, FailureReason, Finding, Source, State, Statement, Transaction,
    UnknownCause,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{
    core::{RULES, arming, at, schedule, transaction, wish},
    evidence::{checked, doubtful_check, status},
};

#[test]
fn doubtful_checks_closer_than_gap_settle_nothing() {
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
        status(&said).state.name()
    };
    // Five minutes, plus one for the clock skew.
    assert_eq!(state(&[(&trouble, 0), (&trouble, 359)]), "CONFIRMING");
    assert_eq!(state(&[(&trouble, 0), (&trouble, 360)]), "FAILED");
    assert_eq!(state(&[(&trouble, 0), (&other, 360)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&trouble, 360)]), "CONFIRMING");
    assert_eq!(state(&[(&own, 0), (&own, 360)]), "CONFIRMING");
}

#[test]
fn other_answer_interrupts_doubtful_run() {
    let trouble = doubtful_check();
    let bare = |finding| Statement::bare(Source::Check, finding);
    let others = [
        bare(Finding::Pending),
        bare(Finding::NotReceived),
        bare(Finding::Doubtful(FailureReason::BillerTrouble)),
        bare(Finding::Unknown(UnknownCause::Inconclusive)),
    ];
    let state = |said: &[(&Statement, i64)]| checked(said).status().state.name();
    for other in &others {
        let across = [(&trouble, 100), (other, 300), (&trouble, 500)];
        assert_eq!(state(&across), "CONFIRMING", "{other:?}");
        // A new run begins with the first check after the other answer.
        let soon = [&across[..], &[(&trouble, 859)]].concat();
        assert_eq!(state(&soon), "CONFIRMING", "{other:?}");
    }
    let pending = &others[0];
    let across = [(&trouble, 100), (pending, 300), (&trouble, 500)];
    let anew = [&across[..], &[(&trouble, 860)]].concat();
    assert_eq!(state(&anew), "FAILED");
    // An earlier agreement stays a failure.
    let before = [(&trouble, 100), (&trouble, 460), (pending, 500)];
    assert_eq!(state(&before), "FAILED");
    // Otherwise the end of the schedule escalates to review.
    let mut now = checked(&across);
    while let Some(due) = now.due_at() {
        now = now.observe_check(None, due, &schedule()).transaction;
    }
    assert_eq!(now.status().state.name(), "NEEDS_REVIEW");
}

#[test]
fn alternating_answers_stay_open_and_bounded() {
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
    assert_eq!(now.status().state.name(), "CONFIRMING");
}

#[test]
fn clock_set_back_settles_nothing_early() {
    let trouble = doubtful_check();
    // One hour ahead, then corrected: ten seconds lie between them.
    let now = checked(&[(&trouble, 3700), (&trouble, 110), (&trouble, 3600)]);
    assert_eq!(now.status().state.name(), "CONFIRMING");
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let ahead = arming(token, 3600);
    let start = Transaction::begin(intent, order, ahead, RULES, &schedule()).transaction;
    let early = start.observe([not_received], at(700), &schedule()).unwrap();
    assert_eq!(early.transaction.status().state.name(), "CONFIRMING");
    // A transaction that is too old by either clock is not checked.
    let month = 720 * 3600;
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(5).observe([pending], at(1), &schedule());
    let pending = pending.unwrap().transaction;
    assert!(pending.may_be_checked(at(month - 60), &schedule()));
    assert!(!pending.may_be_checked(at(month - 59), &schedule()));
}

#[test]
fn record_without_clock_skew_keeps_its_status() {
    let trouble = doubtful_check();
    let now = checked(&[(&trouble, 100), (&trouble, 400)]);
    assert_eq!(now.status().state.name(), "CONFIRMING");
    let mut written = serde_json::to_value(&*now).unwrap();
    let rules = written["rules"].as_object_mut().unwrap();
    assert!(rules.remove("clock_skew").is_some());
    let read: Transaction = serde_json::from_value(written).unwrap();
    assert_eq!(read.status().state.name(), "FAILED");
}

proptest! {
    /// Gateways' clocks differ by at most the skew and may be set back by any amount.
    #[test]
    fn doubtful_run_fails_only_after_whole_gap(
        steps in vec((0..400_i64, -30..=30_i64, any::<bool>()), 1..12),
        back in 0..100_000_i64,
    ) {
        let mut now = transaction(21);
        // A clock far ahead, corrected since.
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
            // The first check, timed by the wrong clock, may have begun a run of its own.
            let is_first_run = now.evidence().iter().all(|(said, _)| said.finding != Finding::Pending);
            let state = now.status().state;
            if let State::Failed(_) = state {
                prop_assert!(is_long || is_first_run && time >= 300, "at {}", time);
                return Ok(());
            }
        }
    }
}
