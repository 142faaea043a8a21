//! The schedule of checks: it terminates, respects the minimum interval, and never overtakes a POST
//! (promise 11).

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::transaction::{
    AttemptToken, Finding, NotSent, Schedule, Source, State, Statement, StatusCode, Transaction,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{
    core::{RULES, arming, at, schedule, transaction, wish},
    evidence::{any_finding, statement},
};

#[test]
fn repeated_requested_checks_do_not_postpone_review() {
    let schedule = schedule();
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let mut current = transaction(1)
        .observe([pending], at(1), &schedule)
        .unwrap()
        .transaction;
    for asked in (60..).step_by(60) {
        assert!(asked < 74 * 3600, "the checks never escalate to review");
        current = current
            .observe_check(None, at(asked), &schedule)
            .transaction;
        if matches!(current.status().state, State::NeedsReview { .. }) {
            return;
        }
    }
}

#[test]
fn expired_transaction_escalates_to_review_unchecked() {
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = transaction(5)
        .observe([pending], at(1), &schedule())
        .unwrap()
        .transaction;
    let old = at(721 * 3600);
    assert!(schedule().is_too_old(pending.armed_at(), old));
    let given_up = pending.give_up(old, &schedule()).unwrap().transaction;
    assert_eq!(given_up.status().state.name(), "NEEDS_REVIEW");
    assert_eq!(given_up.due_at(), None);
}

#[test]
fn callback_about_expired_transaction_schedules_no_check() {
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
        "a requested check must be given up as well"
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
fn callback_advances_check_to_earliest_allowed_time() {
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
        "the schedule must continue unchanged"
    );
    let again = checked
        .observe_report(report, false, at(12), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(again.due_at(), Some(at(15)), "5 s after the last check");
}

/// Two gateways with different time-outs, as during a rollout.
#[test]
fn check_waits_for_longest_post_timeout_of_any_gateway() {
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

#[test]
fn requested_check_waits_for_post() {
    // The claim, the longest POST, and one minute of clock skew.
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
        reported.request_check(at(3), &schedule()).is_none(),
        "a check is requested already"
    );
    // Once answered, the check is due immediately.
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let answered = reported
        .observe([pending], at(20), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(answered.due_at(), Some(at(20)));

    // The next attempt's POST is not overtaken either, despite the earlier request.
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
    assert_eq!(
        unsent.due_at(),
        Some(at(30)),
        "the callback's request must still be due"
    );
    let token = AttemptToken::new(uuid::Uuid::from_u128(5));
    let armed = unsent
        .arm_again(unsent.order().clone(), arming(token, 40), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(armed.due_at(), Some(at(40 + over)));
    let until = armed.sending_until(&schedule());
    assert_eq!(until, Some(at(40 + over)));
}

proptest! {
    #[test]
    fn ignored_check_changes_only_version(
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
        prop_assert_eq!(after.status(), before.status());
        prop_assert_eq!(after.version(), before.version() + 1);
    }

    #[test]
    fn schedule_terminates_and_respects_minimum_interval(
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
            prop_assert!(checks < 100, "the schedule never ends");
        }
        prop_assert!(now.status().state.ends_watch(), "{:?}", now.status());
        let age = last.map_or(SignedDuration::ZERO, |last| last.duration_since(at(0)));
        prop_assert!(age < SignedDuration::from_hours(81), "{:?}", age);
    }
}
