//! Promises 1, 2, 3 and 9 when results of the store are indeterminate.

use std::{sync::atomic::Ordering, time::Duration};

use okebayar_gateway::{
    ledger::{Wait, WaitUntil},
    purchase::{PurchaseError, Sent},
    store::{Claim, Commit, Store, StoreError, claim},
    transaction::{
        AttemptToken, Change, Contents, Finding, InquiryCode, Source, State, Statement, Transaction,
    },
};
use tokio::time::Instant;

use crate::support::{
    bench::{Bench, bench, buy, intent},
    core::{RULES, arming, at, schedule, wish},
    faulty_store::Fault,
    process::PATIENCE,
};

#[tokio::test]
async fn claim_with_lost_reply_is_read_back_and_sent_once() {
    let bench = bench(&[Fault::ReplyLost], &[]).await;
    let transaction = bench.buy().await.unwrap();
    assert!(matches!(
        transaction.status().state,
        State::Succeeded { .. }
    ));
    assert_eq!(bench.posts(), 1);
    assert_eq!(bench.buy().await.unwrap().key(), transaction.key());
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn unstored_claim_sends_nothing() {
    let bench = bench(&[Fault::NotStored], &[]).await;
    assert!(matches!(
        bench.buy().await,
        Err(PurchaseError::NotClaimed(_))
    ));
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(bench.stored().await.is_none());
    bench.buy().await.unwrap();
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn indeterminate_claim_that_cannot_be_read_back_becomes_not_sent() {
    let bench = bench(
        &[Fault::ReplyLost, Fault::NotStored],
        &[Fault::LoadFails; 3],
    )
    .await;
    assert!(matches!(
        bench.buy().await,
        Err(PurchaseError::NotClaimed(_))
    ));
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(matches!(
        bench.stored().await.unwrap().status().state,
        State::NotSent(_)
    ));
    // The same reference code is re-armed and sent once.
    let transaction = bench.buy().await.unwrap();
    assert!(matches!(
        transaction.status().state,
        State::Succeeded { .. }
    ));
    assert_eq!((transaction.attempt(), bench.posts()), (2, 1));
}

#[tokio::test]
async fn claim_in_flight_at_deadline_may_be_sent() {
    let bench = bench(&[Fault::Late], &[]).await;
    let wait = Wait {
        until: WaitUntil::Answered,
        caller_deadline: Some(Instant::now() + Duration::from_millis(200)),
    };
    let bought = bench.gateway.purchases.purchase(intent(), wait).await;
    assert!(matches!(bought, Err(PurchaseError::OutOfTime)));
    assert!(bench.stored().await.is_none());
    assert!(bench.gateway.purchases.may_have_sent(&intent().key()).await);
    bench.store.go_on.notify_one();
    bench.settle().await;
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn outcome_is_retried_until_stored() {
    for fault in [Fault::NotStored, Fault::ReplyLost] {
        let bench = bench(&[Fault::None, fault, fault, fault], &[]).await;
        let transaction = bench.buy().await.unwrap();
        assert!(matches!(
            transaction.status().state,
            State::Succeeded { .. }
        ));
        bench.settle().await;
        assert_eq!(bench.posts(), 1);
        let stored = bench.stored().await.unwrap();
        assert_eq!(
            stored.revision(),
            2,
            "a lost reply must not add a second event"
        );
    }
}

#[tokio::test]
async fn claim_is_rejected_when_store_becomes_unfit_during_preparation() {
    let bench = bench(&[], &[]).await;
    let buying = bench.begin_late("epoch", intent()).await;
    bench.store.is_unfit.store(true, Ordering::SeqCst);
    bench.gateway.failover.verify_store().await.unwrap_err();
    bench.store.go_on.notify_one();
    let refused = buying.await.unwrap();
    assert!(
        matches!(refused, Err(PurchaseError::StoreUnfit(_))),
        "{refused:?}"
    );
    bench.settle().await;
    assert_eq!(bench.posts(), 0);
    assert!(bench.stored().await.is_none());
    bench.store.is_unfit.store(false, Ordering::SeqCst);
    bench.gateway.failover.verify_store().await.unwrap();
    bench.buy().await.unwrap();
    assert_eq!(bench.posts(), 1);
}

/// Two calls with one reference code: one is sent and its inquiry is deleted while the other still
/// looks that inquiry up.
#[tokio::test]
async fn purchase_claimed_during_inquiry_lookup_is_replayed() {
    let bench = bench(&[], &[]).await;
    let mut wanted = intent();
    if let Contents::PurchasePrepaid { inquiry_code, .. } = &mut wanted.contents {
        *inquiry_code = Some(InquiryCode::parse("inquiry-1").unwrap());
    }
    let buying = bench.begin_late("note", wanted.clone()).await;
    let (_, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(7));
    let begun = Transaction::begin(wanted, order, arming(token, 0), RULES, &schedule());
    // It is answered already, so that the replay need not wait for that.
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let answered = begun.transaction.observe([pending], at(1), &schedule());
    for change in [begun.clone(), answered.unwrap()] {
        let stored = bench.store.inner.commit(&change, None).await.unwrap();
        assert!(matches!(stored, Commit::Done));
    }
    bench.store.go_on.notify_one();
    let joined = buying.await.unwrap().unwrap();
    assert!(joined.replayed);
    assert_eq!(bench.posts(), 0);
}

/// Builds the first version of the test's purchase under an attempt token.
fn begin_as(token: u128) -> Change {
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(token));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule())
}

#[tokio::test]
async fn refused_claim_finds_the_claim_of_another_call_and_no_other() {
    let bench = bench(&[], &[]).await;
    let epoch = bench.gateway.failover.epoch().await.unwrap();
    let store = &*bench.store;
    let claimed = async |change: Change, fault| {
        store.commits.lock().unwrap().push_back(fault);
        claim(store, change, epoch.name()).await
    };
    let error = claimed(begin_as(7), Fault::Refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let won = claimed(begin_as(7), Fault::None).await.unwrap();
    assert!(matches!(won, Claim::Won(_)), "{won:?}");

    let taken = claimed(begin_as(8), Fault::Refused).await.unwrap();
    let Claim::Taken(taken) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(taken.token(), begin_as(7).transaction.token());
    // Neither the own claim is that of another call, nor the version that a claim was made from.
    let error = claimed(begin_as(7), Fault::Refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let rearmed = Change {
        from: Some(taken.base()),
        ..begin_as(8)
    };
    let error = claimed(rearmed, Fault::Refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // A store that cannot be read either shows no claim.
    bench
        .store
        .loads
        .lock()
        .unwrap()
        .push_back(Fault::LoadFails);
    let error = claimed(begin_as(8), Fault::Refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// The other call is still sending: the replay waits until its deadline.
#[tokio::test]
async fn replay_of_purchase_in_flight_elsewhere_sends_nothing_until_its_deadline() {
    let bench = bench(&[], &[]).await;
    let stored = bench.store.inner.commit(&begin_as(7), None).await.unwrap();
    assert!(matches!(stored, Commit::Done));
    let wait = Wait {
        until: WaitUntil::Answered,
        caller_deadline: Some(Instant::now() + Duration::from_secs(1)),
    };
    match bench.gateway.purchases.purchase(intent(), wait).await {
        Ok(replay) => {
            assert!(replay.replayed);
            assert_eq!(replay.transaction.status().state, State::Sending);
        }
        // The deadline may cut a read of the store.
        Err(error) => assert!(
            matches!(error, PurchaseError::OutcomeUnreadable(_)),
            "{error:?}"
        ),
    }
    assert_eq!(bench.posts(), 0);
}

/// Creates a NOT_SENT reference code: its claim cannot be confirmed and is abandoned.
async fn not_sent() -> Bench {
    let bench = bench(
        &[Fault::ReplyLost, Fault::NotStored],
        &[Fault::LoadFails; 3],
    )
    .await;
    bench.buy().await.unwrap_err();
    bench.settle().await;
    let stored = bench.stored().await.unwrap();
    assert!(matches!(stored.status().state, State::NotSent(_)));
    bench
}

#[tokio::test]
async fn delayed_claim_over_not_sent_is_abandoned() {
    let bench = not_sent().await;
    // The first load finds the NOT_SENT record.
    let faults = [Fault::None, Fault::Delayed];
    bench.store.commits.lock().unwrap().extend(faults);
    let buying = bench.begin_late("load", intent()).await;
    bench.store.is_unfit.store(true, Ordering::SeqCst);
    bench.gateway.failover.verify_store().await.unwrap_err();
    bench.store.go_on.notify_one();
    buying.await.unwrap().unwrap_err();
    let delayed = bench.store.delayed.lock().unwrap().take().unwrap();
    let stored = bench.store.inner.commit(&delayed, None).await.unwrap();
    assert!(matches!(stored, Commit::Done));
    bench.settle().await;
    let stored = bench.stored().await.unwrap();
    assert!(
        matches!(stored.status().state, State::NotSent(_)),
        "{stored:?}"
    );
    assert_eq!(bench.posts(), 0);
}

#[tokio::test]
async fn rejection_reports_sent_maybe_while_another_claim_is_in_flight() {
    let bench = not_sent().await;
    bench.store.commits.lock().unwrap().push_back(Fault::Late);
    let gateway = bench.gateway.clone();
    let buying = tokio::spawn(async move { buy(&gateway, intent()).await });
    let claimed = async {
        while !bench.store.commits.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, claimed).await.unwrap();
    let (other, _) = wish("reference-1", "PULSA5");
    let refused = buy(&bench.gateway, other).await.unwrap_err();
    assert!(
        matches!(
            refused,
            PurchaseError::OtherContents {
                sent: Sent::Maybe,
                ..
            }
        ),
        "{refused:?}"
    );
    bench.store.go_on.notify_one();
    buying.await.unwrap().unwrap();
    assert_eq!(bench.posts(), 1);
}
