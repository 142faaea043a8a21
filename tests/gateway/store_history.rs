//! The store's contract on histories: what is noticed of a loss, and what it forbids.

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::{
        Claim, Commit, Events, Identity, Keep, List, Put, Store, claim,
        guard::{self, GuardSettings, KnownEpoch},
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
        world::{StoreKind, reference},
    },
};

const GUARD: GuardSettings = GuardSettings {
    lasts: SignedDuration::from_hours(24),
    clock_skew: SignedDuration::from_mins(1),
};

const REASON: &str = "every purchase is accounted for";

fn random() -> uuid::Uuid {
    uuid::Uuid::parse_str(&reference()).unwrap()
}

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
    let first = guard::observe(store, None, at(0), random).await.unwrap();
    assert_eq!(
        first.on(&GUARD, at(0)),
        None,
        "a new store has lost nothing"
    );
    let again = guard::observe(store, Some(&first), at(1), random)
        .await
        .unwrap();
    assert_eq!(again, first);
    let day = at(10 + 24 * 3600);
    guard::start(store, at(10), random).await.unwrap();
    let started = guard::observe(store, Some(&first), at(20), random)
        .await
        .unwrap();
    assert_eq!(started.on(&GUARD, at(20)), Some((at(10), day)));
    assert_eq!(started.on(&GUARD, day), None);
    guard::end(store, REASON, at(30), random).await.unwrap();
    let ended = guard::observe(store, Some(&started), at(40), random)
        .await
        .unwrap();
    assert_eq!(ended.on(&GUARD, at(40)), None);
}

#[tokio::test]
async fn a_restored_embedded_store_has_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let (known, cursor);
    {
        let store = open_redb(folder.path()).await;
        known = guard::observe(&store, None, at(0), random).await.unwrap();
        cursor = store.events_head().await.unwrap();
    }
    let identity = Identity {
        epoch: uuid::Uuid::from_u128(2),
        ..identity()
    };
    drop(RedbStore::open_restored(&file, &identity).await.unwrap());
    let store = open_redb(folder.path()).await;
    let guard = guard::observe(&store, None, at(5), random).await.unwrap();
    assert_ne!(guard.name(), known.name());
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
    let guard = guard::observe(&store, None, at(6), random).await.unwrap();
    assert!(guard.on(&GUARD, at(6)).is_some());
}

/// What turns the guard on, or another gateway that noticed a loss, gives the store another
/// seal.
async fn a_commit_is_refused_under_a_seal_that_the_store_does_not_bear(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let known = guard::observe(store, None, at(0), random).await.unwrap();
    let started = guard::start(store, at(1), random).await.unwrap();
    let refused = store.commit(&begin(1), Some(known.name())).await;
    let refused = refused.unwrap();
    assert!(matches!(refused, Commit::OtherHistory), "{refused:?}");
    let key = begin(1).transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    let seen = guard::observe(store, Some(&known), at(2), random).await;
    let seen = seen.unwrap();
    assert_eq!((&seen, seen.on(&GUARD, at(2)).is_some()), (&started, true));
    let committed = store.commit(&begin(1), Some(seen.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
    // Its end changes no seal: claims go on.
    guard::end(store, REASON, at(3), random).await.unwrap();
    let committed = store.commit(&begin(2), Some(seen.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
    let ended = guard::observe(store, Some(&seen), at(4), random).await;
    assert_eq!(ended.unwrap().on(&GUARD, at(4)), None);
    let items = store.items(List::GuardEndings).await.unwrap();
    let told = guard::parse_ending(&items[0]).unwrap();
    assert_eq!((told.reason.as_str(), told.at), (REASON, at(3)));
}

/// The release before the id writes the history and the loss alone.
async fn a_note_without_an_id_gets_one_and_is_a_loss_to_those_who_know_one(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let history = store.history_name(None).await.unwrap();
    let earlier = format!(r#"{{"history":"{history}","loss":"none_known"}}"#);
    let keep = Keep {
        now: at(0),
        until: Timestamp::MAX,
    };
    let put = store.put_note("guard", None, &earlier, keep).await.unwrap();
    assert_eq!(put, Put::Done);
    let known = guard::observe(store, None, at(0), random).await.unwrap();
    assert_eq!(known.on(&GUARD, at(0)), None, "an update is no loss");
    let again = guard::observe(store, Some(&known), at(1), random).await;
    assert_eq!(again.unwrap(), known);
    let committed = store.commit(&begin(1), Some(known.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");

    let ours = store.note("guard").await.unwrap();
    for loss in ["none_known", "cleared"] {
        let stored = store.note("guard").await.unwrap();
        let theirs = format!(r#"{{"history":"{history}","loss":"{loss}"}}"#);
        let put = store.put_note("guard", stored.as_deref(), &theirs, keep);
        assert_eq!(put.await.unwrap(), Put::Done);
        let seen = guard::observe(store, Some(&known), at(5), random).await;
        assert!(seen.unwrap().on(&GUARD, at(6)).is_some(), "{loss}");
    }
    assert_ne!(store.note("guard").await.unwrap(), ours);
}

/// Redis that is emptied keeps its ids, and the first to look finds a new store.
#[tokio::test]
async fn an_emptied_redis_is_noticed_before_the_next_claim_whoever_looked_first() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let is_refused = async |name: &KnownEpoch, seed| {
        let committed = store.commit(&begin(seed), Some(name.name())).await;
        matches!(committed.unwrap(), Commit::OtherHistory)
    };
    let running = guard::observe(&store, None, at(0), random).await.unwrap();
    assert!(!is_refused(&running, 1).await);
    redis.command(&["FLUSHALL"]).await;
    assert!(is_refused(&running, 1).await, "nobody has looked yet");
    let newcomer = guard::observe(&store, None, at(1), random).await.unwrap();
    assert_eq!(newcomer.on(&GUARD, at(1)), None, "it cannot know");
    assert!(is_refused(&running, 1).await);
    // What one notices, the others hear before they claim.
    let seen = guard::observe(&store, Some(&running), at(2), random).await;
    let seen = seen.unwrap();
    assert!(seen.on(&GUARD, at(3)).is_some());
    assert!(is_refused(&newcomer, 2).await);
    let told = guard::observe(&store, Some(&newcomer), at(4), random).await;
    assert_eq!(told.unwrap(), seen, "one loss, noticed once");
    assert!(!is_refused(&seen, 2).await);

    // A part of it is emptied, as one node of a cluster may be.
    redis.command(&["DEL", "okb:{3}:seal"]).await;
    let seen = guard::observe(&store, Some(&seen), at(100), random).await;
    let since = seen.unwrap().on(&GUARD, at(101)).unwrap().0;
    assert_eq!(since, at(100));
    // An operator ends the guard of the new note only: what another one lost is not that.
    redis.command(&["FLUSHALL"]).await;
    guard::end(&store, REASON, at(200), random).await.unwrap();
    let told = guard::observe(&store, Some(&running), at(201), random).await;
    assert!(told.unwrap().on(&GUARD, at(202)).is_some());
}

/// What a running gateway notices of Redis, whoever comes first.
#[tokio::test]
async fn redis_has_another_history_when_it_may_have_lost_something() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut redis = Redis::start(folders[0].path()).await;
    let retention = SignedDuration::from_hours(1);
    let store = open_redis(&redis.url, retention).await;
    let known = guard::observe(&store, None, at(0), random).await.unwrap();
    let is_lost = async |store: &RedisStore, known: Option<&KnownEpoch>| {
        let seen = guard::observe(store, known, at(5), random).await.unwrap();
        let refused = store.commit(&begin(1), Some(known.unwrap().name())).await;
        let is_lost = seen.on(&GUARD, at(6)).is_some();
        match refused.unwrap() {
            Commit::OtherHistory => assert!(is_lost && seen.name() != known.unwrap().name()),
            _ => assert_eq!(seen.name(), known.unwrap().name()),
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
    let known = guard::end(&store, REASON, at(7), random).await.unwrap();
    assert!(!is_lost(&store, Some(&known)).await);
    // It is another process.
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let store = open_redis(&redis.url, retention).await;
    assert!(is_lost(&store, Some(&known)).await);
    let known = guard::end(&store, REASON, at(7), random).await.unwrap();
    // It was emptied, and somebody who never saw it came first.
    redis.command(&["FLUSHALL"]).await;
    let seen = guard::observe(&store, Some(&known), at(8), random)
        .await
        .unwrap();
    assert!(seen.on(&GUARD, at(9)).is_some());
    redis.kill().await;
    std::fs::remove_file(folders[0].path().join("dump.rdb")).unwrap();
    redis.start_again().await;
    let store = open_redis(&redis.url, retention).await;
    let newcomer = guard::observe(&store, None, at(8), random).await.unwrap();
    assert_eq!(newcomer.on(&GUARD, at(9)), None);
    assert!(is_lost(&store, Some(&known)).await);
}

on_both_stores!(
    a_commit_is_refused_in_another_history,
    an_attempt_that_is_held_back_is_stored_without_the_right_to_send,
    a_guard_is_on_from_a_loss_until_it_is_over_or_ended,
    a_commit_is_refused_under_a_seal_that_the_store_does_not_bear,
    a_note_without_an_id_gets_one_and_is_a_loss_to_those_who_know_one,
);
