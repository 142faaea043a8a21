//! The store's contract on histories: what is noticed of a loss, and what it forbids.

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::{
        Claim, Commit, Events, Identity, Store, claim,
        guard::{self, Guard, GuardSettings},
        redb::RedbStore,
        redis::RedisStore,
    },
    transaction::{Arming, AttemptToken, Transaction},
};

use crate::{
    store_contract::{due, identity, open, open_redb, open_redis},
    support::{
        core::{RULES, arming, at, begin, schedule, wish},
        on_both_stores,
        redis::Redis,
        world::StoreKind,
    },
};

const GUARD: GuardSettings = GuardSettings {
    lasts: SignedDuration::from_hours(24),
    clock_skew: SignedDuration::from_mins(1),
};

async fn a_commit_is_refused_in_another_history(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let history = store.history_name(None).await.unwrap();
    assert_eq!(store.history_name(Some(&history)).await.unwrap(), history);
    assert_eq!(store.history_name(Some("other")).await.unwrap(), history);
    let first = begin(1);
    let refused = store.commit(&first, Some("other:1")).await.unwrap();
    assert!(matches!(refused, Commit::OtherHistory), "{refused:?}");
    let key = first.transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    assert_eq!(due(store, Timestamp::MAX).await, []);
    let committed = store.commit(&first, Some(&history)).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
}

async fn an_attempt_that_is_held_back_is_stored_without_the_right_to_send(kind: StoreKind) {
    let opened = open(kind).await;
    let history = opened.store.history_name(None).await.unwrap();
    let (intent, order) = wish("reference-1", "PULSA10");
    let held = Arming {
        is_held_back: true,
        ..arming(AttemptToken::new(uuid::Uuid::from_u128(1)), 0)
    };
    let change = Transaction::begin(intent, order, held, RULES, &schedule());
    let key = change.transaction.key();
    let claimed = claim(&*opened.store, change, &history).await.unwrap();
    assert!(matches!(claimed, Claim::HeldBack(_)), "{claimed:?}");
    let stored = opened.store.load(&key).await.unwrap().unwrap();
    assert!(stored.is_held_back());
    let soon = at(10 + 2);
    assert_eq!(due(&*opened.store, soon).await, [key]);
}

async fn a_guard_is_on_from_a_loss_until_it_is_over_or_ended(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = guard::observe(store, None, at(0)).await.unwrap();
    assert_eq!(
        first.on(&GUARD, at(0)),
        None,
        "a new store has lost nothing"
    );
    let again = guard::observe(store, Some(&first), at(1)).await.unwrap();
    assert_eq!(again, first);
    let day = at(10 + 24 * 3600);
    guard::start(store, at(10)).await.unwrap();
    let started = guard::observe(store, Some(&first), at(20)).await.unwrap();
    assert_eq!(started.on(&GUARD, at(20)), Some((at(10), day)));
    assert_eq!(started.on(&GUARD, day), None);
    guard::end(store, at(30)).await.unwrap();
    let ended = guard::observe(store, Some(&started), at(40)).await.unwrap();
    assert_eq!(ended.on(&GUARD, at(40)), None);
}

#[tokio::test]
async fn a_restored_embedded_store_has_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let (known, cursor);
    {
        let store = open_redb(folder.path()).await;
        known = guard::observe(&store, None, at(0)).await.unwrap();
        cursor = store.events_head().await.unwrap();
    }
    let identity = Identity {
        epoch: uuid::Uuid::from_u128(2),
        ..identity()
    };
    drop(RedbStore::open_restored(&file, &identity).await.unwrap());
    let store = open_redb(folder.path()).await;
    let guard = guard::observe(&store, None, at(5)).await.unwrap();
    assert_ne!(guard.history(), known.history());
    assert!(guard.on(&GUARD, at(6)).is_some());
    assert!(matches!(
        store.events_after(&cursor).await.unwrap(),
        Events::OutOfRange
    ));
}

/// A backup of a time when nobody had looked for a loss yet.
#[tokio::test]
async fn a_backup_that_knows_of_no_history_turns_the_guard_on_as_well() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_redb(folder.path()).await);
    let file = folder.path().join("store.redb");
    let restore = async || RedbStore::restore(&file, &identity(), at(5)).await.unwrap();
    assert!(!restore().await, "there is no backup");
    std::fs::rename(&file, folder.path().join("store.redb.restore")).unwrap();
    assert!(restore().await);
    let store = open_redb(folder.path()).await;
    let guard = guard::observe(&store, None, at(6)).await.unwrap();
    assert!(guard.on(&GUARD, at(6)).is_some());
}

/// What a running gateway notices of Redis, whoever comes first.
#[tokio::test]
async fn redis_has_another_history_when_it_may_have_lost_something() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut redis = Redis::start(folders[0].path()).await;
    let retention = SignedDuration::from_hours(1);
    let store = open_redis(&redis.url, retention).await;
    let known = guard::observe(&store, None, at(0)).await.unwrap();
    let is_lost = async |store: &RedisStore, known: Option<&Guard>| {
        let seen = guard::observe(store, known, at(5)).await.unwrap();
        let refused = store
            .commit(&begin(1), Some(known.unwrap().history()))
            .await;
        let is_lost = seen.on(&GUARD, at(6)).is_some();
        match refused.unwrap() {
            Commit::OtherHistory => assert!(is_lost && seen.history() != known.unwrap().history()),
            _ => assert_eq!(seen.history(), known.unwrap().history()),
        }
        is_lost
    };

    // Its first replica changes its replication id, and loses nothing.
    let replica = redis.replica(folders[1].path()).await;
    redis.await_replica().await;
    assert!(!is_lost(&store, Some(&known)).await);
    // It was a replica for a while: what it had alone is gone.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    redis.follow(&replica).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(is_lost(&store, Some(&known)).await);
    let known = guard::end(&store, at(7)).await.unwrap();
    assert!(!is_lost(&store, Some(&known)).await);
    // It is another process.
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let store = open_redis(&redis.url, retention).await;
    assert!(is_lost(&store, Some(&known)).await);
    let known = guard::end(&store, at(7)).await.unwrap();
    // It was emptied, and somebody who never saw it came first.
    redis.command(&["FLUSHALL"]).await;
    let seen = guard::observe(&store, Some(&known), at(8)).await.unwrap();
    assert!(seen.on(&GUARD, at(9)).is_some());
    redis.kill().await;
    std::fs::remove_file(folders[0].path().join("dump.rdb")).unwrap();
    redis.start_again().await;
    let store = open_redis(&redis.url, retention).await;
    let newcomer = guard::observe(&store, None, at(8)).await.unwrap();
    assert_eq!(newcomer.on(&GUARD, at(9)), None);
    assert!(is_lost(&store, Some(&known)).await);
}

on_both_stores!(
    a_commit_is_refused_in_another_history,
    an_attempt_that_is_held_back_is_stored_without_the_right_to_send,
    a_guard_is_on_from_a_loss_until_it_is_over_or_ended,
);
