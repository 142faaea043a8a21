//! The contract of commits and claims.

use std::sync::Arc;

use jiff::Timestamp;
use okebayar_gateway::{
    store::{CasResult, Claim, Commit, Expiry, NoteTexts, claim},
    transaction::{AttemptToken, Transaction},
};

use super::{done, on_each_store, open, pending};
use crate::support::{
    core::{RULES, arming, at, begin, schedule, wish},
    world::StoreKind,
};

async fn commit_requires_version_it_was_made_from(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1);
    let key = first.transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    let second = pending(&first.transaction, 1);
    assert!(matches!(
        store.commit(&second, None).await.unwrap(),
        Commit::Conflict(None)
    ));

    done(store, &first).await;
    assert_eq!(store.load(&key).await.unwrap().unwrap(), first.transaction);
    let again = store.commit(&first, None).await.unwrap();
    assert!(matches!(again, Commit::Conflict(Some(stored)) if stored == first.transaction));

    done(store, &second).await;
    let stale = first.transaction.observe_check(None, at(2), &schedule());
    let conflict = store.commit(&stale, None).await.unwrap();
    assert!(matches!(conflict, Commit::Conflict(Some(stored)) if stored == second.transaction));
    assert_eq!(store.load(&key).await.unwrap().unwrap(), second.transaction);
}

/// After a loss the record of another attempt may stand where ours did.
async fn commit_requires_same_attempt(kind: StoreKind) {
    let opened = open(kind).await;
    let (intent, order) = wish("reference-1", "PULSA10");
    let attempt = |number| {
        let token = AttemptToken::new(uuid::Uuid::from_u128(number));
        let (intent, order) = (intent.clone(), order.clone());
        Transaction::begin(intent, order, arming(token, 0), RULES, &schedule())
    };
    let (ours, theirs) = (attempt(1), attempt(2));
    done(&*opened.store, &theirs).await;
    let change = pending(&ours.transaction, 1);
    let conflict = opened.store.commit(&change, None).await.unwrap();
    assert!(matches!(conflict, Commit::Conflict(Some(stored)) if stored == theirs.transaction));
    done(&*opened.store, &pending(&theirs.transaction, 1)).await;
}

async fn one_of_many_concurrent_claims_wins(kind: StoreKind) {
    let opened = open(kind).await;
    let (intent, order) = wish("reference-1", "PULSA10");
    let claims = (0..50_u128).map(|number| {
        let store = Arc::clone(&opened.store);
        let (intent, order) = (intent.clone(), order.clone());
        let token = AttemptToken::new(uuid::Uuid::from_u128(100 + number));
        let change = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
        tokio::spawn(async move {
            let history = store.epoch(None).await.unwrap().name;
            (token, claim(&*store, change, &history).await.unwrap())
        })
    });
    let (mut won, mut taken) = (Vec::new(), Vec::new());
    for claimed in claims.collect::<Vec<_>>() {
        match claimed.await.unwrap() {
            (own, Claim::Won(permit)) => {
                assert_eq!(permit.transaction().token(), own);
                won.push(own);
            }
            (_, Claim::Taken(transaction)) => taken.push(transaction.token()),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!((won.len(), taken.len()), (1, 49));
    assert!(taken.iter().all(|token| *token == won[0]));
}

async fn notes_behind_commit_are_read_after_it_or_not_at_all(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let expiry = Expiry {
        now: at(0),
        until: Timestamp::MAX,
    };
    let put = store.put_note("one", None, "text", expiry).await.unwrap();
    assert_eq!(put, CasResult::Done);
    let names = ["one".to_owned(), "none".to_owned()];
    let texts = vec![Some("text".to_owned()), None];
    let is_right = |read: Option<NoteTexts>| read.is_none_or(|read| read == texts);

    let first = begin(1);
    let (committed, read) = store.commit_and_read(&first, None, &names).await.unwrap();
    assert!(matches!(committed, Commit::Done) && is_right(read));
    let (again, read) = store.commit_and_read(&first, None, &names).await.unwrap();
    assert!(matches!(again, Commit::Conflict(Some(_))) && is_right(read));
    let second = begin(2);
    let elsewhere = store.commit_and_read(&second, Some("other:epoch"), &names);
    let (elsewhere, read) = elsewhere.await.unwrap();
    assert!(matches!(elsewhere, Commit::OtherEpoch) && is_right(read));
    assert!(
        store
            .load(&begin(2).transaction.key())
            .await
            .unwrap()
            .is_none()
    );
}

on_each_store!(
    notes_behind_commit_are_read_after_it_or_not_at_all,
    commit_requires_version_it_was_made_from,
    commit_requires_same_attempt,
    one_of_many_concurrent_claims_wins,
);
