//! Attempts: re-arming, quarantine and release.

use std::sync::Arc;

use okebayar_gateway::transaction::{
    Arming, AttemptToken, Finding, NotReleased, NotSent, Release, ReviewCause, Source, State,
    Statement, Transaction, UnknownCause,
};

use crate::support::{
    core::{RULES, arming, at, begin, schedule, transaction, wish},
    evidence::{QUARANTINED, doubtful_check, status_of, success},
};

#[test]
fn quarantined_attempt_stays_open_until_proof() {
    let state = |said: &[(&Statement, i64)]| {
        let said: Vec<_> = said
            .iter()
            .map(|(said, at)| ((*said).clone(), *at))
            .collect();
        status_of(QUARANTINED, &said).state.name()
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
    // A gateway that sent the attempt before the store lost its record reports the outcome late.
    for (source, why) in [
        (Source::Gateway, UnknownCause::TimedOut),
        (Source::Gateway, UnknownCause::Broken),
        (Source::Answer, UnknownCause::HttpStatus(500)),
        (Source::Answer, UnknownCause::Unreadable),
    ] {
        let sent = bare(source, Finding::Unknown(why));
        assert_eq!(state(&[(&sent, 45), (&not_received, 659)]), "CONFIRMING");
        assert_eq!(state(&[(&sent, 45), (&not_received, 660)]), "FAILED");
        assert_eq!(state(&[(&not_received, 660), (&sent, 700)]), "FAILED");
    }
}

#[test]
fn attempt_after_quarantined_one_starts_fresh() {
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let (intent, order) = wish("reference-1", "PULSA10");
    let held = Arming {
        is_quarantined: true,
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
    // A doubtful check shows OKEBAYAR's record, so the reference code was received: a later "never
    // received" contradicts it and does not permit sending. (This test once asserted NOT_SENT here,
    // after which the same reference code was sent again.)
    let said = [(&trouble, 100), (&not_received, 100), (&not_received, 700)];
    let contradicted = say(&said);
    assert_eq!(contradicted.status().state.name(), "NEEDS_REVIEW");
    let sending_again = contradicted.arm_again(order.clone(), held, &schedule());
    assert!(sending_again.is_err());
    now = say(&[(&not_received, 100), (&not_received, 700)]);
    assert_eq!(now.status().state.name(), "NOT_SENT");
    assert_eq!(now.not_sent_at(), Some(at(700)));
    let armed = now.arm_again(order.clone(), arming(token, 800), &schedule());
    let mut now = armed.unwrap().transaction;
    assert_eq!(now.status().state, State::Sending);
    assert_eq!((now.not_sent_at(), now.is_quarantined()), (None, false));
    assert_eq!(
        now.quarantined_attempts().len(),
        1,
        "the timeline must keep the quarantined attempt"
    );
    // Evidence about the earlier attempt does not apply to this one, whichever clock armed it.
    let change = now.observe([not_received], at(1200), &schedule());
    now = change.unwrap().transaction;
    assert_eq!(now.status().state.name(), "CONFIRMING");
    // The record survives serialization.
    let text = serde_json::to_string(&*now).unwrap();
    let read: Transaction = serde_json::from_str(&text).unwrap();
    assert_eq!(read.verified().unwrap(), *now);
}

#[test]
fn only_not_sent_attempt_is_rearmed() {
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
    assert_eq!(unsent.transaction.status().state.name(), "NOT_SENT");
    let armed = unsent
        .transaction
        .arm_again(order(), arming(token, 2), &schedule())
        .unwrap()
        .transaction;
    assert_eq!(armed.status().state, State::Sending);
    assert_eq!(
        (armed.attempt(), armed.token(), armed.revision()),
        (2, token, 3)
    );
}

/// A record rewritten after a loss is marked, and the mark survives.
#[test]
fn rewritten_record_is_marked_as_following_loss() {
    let begun = begin(1);
    assert!(!begun.transaction.follows_loss());
    let said = Statement::bare(Source::Gateway, Finding::Unknown(UnknownCause::TimedOut));
    let next = begun.transaction.observe([said], at(1), &schedule());
    let rewritten = next.unwrap().rewritten();
    assert!(rewritten.from.is_none() && rewritten.is_event);
    assert!(rewritten.transaction.follows_loss());
}

#[test]
fn post_of_lost_attempt_contradicts_earlier_not_sent() {
    let begun = begin(1).transaction;
    let not_sent = Finding::NotSent {
        attempt: 1,
        why: NotSent::Unreachable,
    };
    for (why, is_contradicted) in [
        (UnknownCause::TimedOut, true),
        (UnknownCause::SenderLost, false),
    ] {
        let said = [not_sent, Finding::Unknown(why)].map(|it| Statement::bare(Source::Gateway, it));
        let observed = begun.observe(said, at(1), &schedule()).unwrap();
        let state = observed.transaction.status().state;
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
fn only_quarantined_attempt_without_evidence_is_released() {
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(4));
    let held = Arming {
        is_quarantined: true,
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
    assert_eq!(release(&start).unwrap_err(), NotReleased::NotChecked);
    let unanswered = start.observe_check(None, at(10), &schedule()).transaction;
    assert_eq!(release(&unanswered).unwrap_err(), NotReleased::NotChecked);
    let absent = start
        .observe_absence_since(&start, at(10), &schedule())
        .transaction;
    for (source, finding, kept) in [
        (Source::Callback, Finding::Reported, NotReleased::CalledBack),
        (
            Source::Check,
            Finding::Unknown(UnknownCause::Inconclusive),
            NotReleased::MayBeSent,
        ),
        // A gateway rewrote the record that the store had lost during its POST.
        (
            Source::Gateway,
            Finding::Unknown(UnknownCause::TimedOut),
            NotReleased::MayBeSent,
        ),
        (Source::Check, Finding::Pending, NotReleased::NotQuarantined),
        (
            Source::Check,
            Finding::Succeeded,
            NotReleased::NotQuarantined,
        ),
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
    let state = released.status().state;
    assert_eq!(state, State::NotSent(NotSent::Quarantined));
    assert_eq!(released.not_sent_at(), Some(at(500)));
    assert_eq!(release(&released).unwrap_err(), NotReleased::NotQuarantined);
    let said = released.evidence().iter().last().unwrap().0;
    assert_eq!(said.resolution.as_ref().unwrap().note, "nothing was lost");
    // OKEBAYAR's "never received" counts as a check; sent attempts are never released.
    let not_received = Statement::bare(Source::Check, Finding::NotReceived);
    let denied = start.observe([not_received], at(10), &schedule()).unwrap();
    assert!(release(&denied.transaction).is_ok());
    let sent = begin(arming(token, 0));
    let lost = sent.observe_check(None, at(125), &schedule()).transaction;
    assert_eq!(release(&lost).unwrap_err(), NotReleased::NotQuarantined);
    // A later receipt invalidates the release.
    let success = [success(Source::Check, Some("1"))];
    let late = released.observe(success, at(600), &schedule()).unwrap();
    assert_eq!(late.transaction.status().state.name(), "NEEDS_REVIEW");
}

#[test]
fn event_is_the_same_revision_as_its_record_and_no_other() {
    let record = transaction(1);
    let event = record.as_event();
    assert_ne!(event.token(), record.token());
    assert!(event.is_same_revision(&record) && record.is_same_revision(&event));
    let said = [Statement::bare(Source::Answer, Finding::Pending)];
    let later = record.observe(said, at(1), &schedule()).unwrap();
    assert!(!later.transaction.is_same_revision(&event));
    // Another attempt under the reference code, after the store lost this one.
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(2));
    let other = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    assert!(!other.transaction.is_same_revision(&record));
}
