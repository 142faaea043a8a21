//! The store's contract on replication epochs: how a loss is detected, and what it prevents.

use futures::{FutureExt, TryFutureExt};
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    failover::{GuardSettings, KnownEpoch, observation, operator},
    store::{
        BoundedList, CasResult, Claim, Commit, Events, Expiry, Identity, RecordLoss, Store, claim,
        redb::{RedbSettings, RedbStore},
        redis::RedisStore,
    },
    transaction::{Arming, AttemptToken, Transaction},
};

use crate::{
    store::contract::{due, identity, open, open_redb, open_redis},
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

async fn commit_is_rejected_in_another_epoch(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let history = store.epoch(None).await.unwrap().name;
    assert_eq!(store.epoch(Some(&history)).await.unwrap().name, history);
    assert_eq!(store.epoch(Some("other")).await.unwrap().name, history);
    let first = begin(1);
    let refused = store.commit(&first, Some("other:1")).await.unwrap();
    assert!(matches!(refused, Commit::OtherEpoch), "{refused:?}");
    let key = first.transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    assert_eq!(due(store, Timestamp::MAX).await, []);
    let committed = store.commit(&first, Some(&history)).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
}

async fn quarantined_attempt_is_stored_without_send_permit(kind: StoreKind) {
    let opened = open(kind).await;
    let history = opened.store.epoch(None).await.unwrap().name;
    let (intent, order) = wish("reference-1", "PULSA10");
    let held = Arming {
        is_quarantined: true,
        ..arming(AttemptToken::new(uuid::Uuid::from_u128(1)), 0)
    };
    let change = Transaction::begin(intent, order, held, RULES, &schedule());
    let key = change.transaction.key();
    let claimed = claim(&*opened.store, change, &history).await.unwrap();
    assert!(matches!(claimed, Claim::Quarantined(_)), "{claimed:?}");
    let stored = opened.store.load(&key).await.unwrap().unwrap();
    assert!(stored.is_quarantined());
    let soon = at(10 + 2);
    assert_eq!(due(&*opened.store, soon).await, [key]);
}

async fn guard_is_on_from_loss_until_expiry_or_end(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = observation::observe(store, None, at(0), random)
        .await
        .unwrap();
    assert_eq!(
        first.on(&GUARD, at(0)),
        None,
        "a new store must not report a loss"
    );
    let again = observation::observe(store, Some(&first), at(1), random)
        .await
        .unwrap();
    assert_eq!(again, first);
    let day = at(10 + 24 * 3600);
    operator::start(store, at(10), random).await.unwrap();
    let started = observation::observe(store, Some(&first), at(20), random)
        .await
        .unwrap();
    assert_eq!(started.on(&GUARD, at(20)), Some((at(10), day)));
    assert_eq!(started.on(&GUARD, day), None);
    operator::end(store, REASON, at(30), random).await.unwrap();
    let ended = observation::observe(store, Some(&started), at(40), random)
        .await
        .unwrap();
    assert_eq!(ended.on(&GUARD, at(40)), None);
}

#[tokio::test]
async fn restored_embedded_store_has_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let (known, cursor);
    {
        let store = open_redb(folder.path()).await;
        known = observation::observe(&store, None, at(0), random)
            .await
            .unwrap();
        cursor = store.events_head().await.unwrap();
    }
    let identity = Identity {
        epoch: uuid::Uuid::from_u128(2),
        ..identity()
    };
    drop(
        RedbStore::open_restored(&file, &identity, RedbSettings::default())
            .await
            .unwrap(),
    );
    let store = open_redb(folder.path()).await;
    let guard = observation::observe(&store, None, at(5), random)
        .await
        .unwrap();
    assert_ne!(guard.name(), known.name());
    assert!(guard.on(&GUARD, at(6)).is_some());
    assert!(matches!(
        store.events_after(&cursor).await.unwrap(),
        Events::OutOfRange
    ));
}

/// Restores a backup from before any gateway recorded an epoch.
#[tokio::test]
async fn backup_without_epoch_turns_guard_on() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_redb(folder.path()).await);
    let file = folder.path().join("store.redb");
    let record_loss: RecordLoss<'_> =
        &|store| operator::start(store, at(5), random).map_ok(drop).boxed();
    let restore = async || {
        let restored =
            RedbStore::restore(&file, &identity(), RedbSettings::default(), record_loss).await;
        restored.unwrap()
    };
    assert!(!restore().await, "there is no backup");
    std::fs::rename(&file, folder.path().join("store.redb.restore")).unwrap();
    assert!(restore().await);
    let store = open_redb(folder.path()).await;
    let guard = observation::observe(&store, None, at(6), random)
        .await
        .unwrap();
    assert!(guard.on(&GUARD, at(6)).is_some());
}

/// A new loss detected by another gateway, or `guard start`, replaces the store's seal.
async fn commit_is_rejected_under_unknown_seal(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let known = observation::observe(store, None, at(0), random)
        .await
        .unwrap();
    let started = operator::start(store, at(1), random).await.unwrap();
    let refused = store.commit(&begin(1), Some(known.name())).await;
    let refused = refused.unwrap();
    assert!(matches!(refused, Commit::OtherEpoch), "{refused:?}");
    let key = begin(1).transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    let seen = observation::observe(store, Some(&known), at(2), random).await;
    let seen = seen.unwrap();
    assert_eq!((&seen, seen.on(&GUARD, at(2)).is_some()), (&started, true));
    let committed = store.commit(&begin(1), Some(seen.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
    // Ending the guard keeps the seal: claims continue.
    operator::end(store, REASON, at(3), random).await.unwrap();
    let committed = store.commit(&begin(2), Some(seen.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");
    let ended = observation::observe(store, Some(&seen), at(4), random).await;
    assert_eq!(ended.unwrap().on(&GUARD, at(4)), None);
    let items = store.items(BoundedList::GuardEndings).await.unwrap();
    let told = operator::parse_ending(&items[0]).unwrap();
    assert_eq!((told.reason.as_str(), told.at), (REASON, at(3)));
}

/// A release before guard ids stores the epoch and the loss alone.
async fn guard_note_without_id_gets_one_and_is_loss_to_others(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let history = store.epoch(None).await.unwrap().name;
    let earlier = format!(r#"{{"history":"{history}","loss":"none_known"}}"#);
    let keep = Expiry {
        now: at(0),
        until: Timestamp::MAX,
    };
    let put = store.put_note("guard", None, &earlier, keep).await.unwrap();
    assert_eq!(put, CasResult::Done);
    let known = observation::observe(store, None, at(0), random)
        .await
        .unwrap();
    assert_eq!(
        known.on(&GUARD, at(0)),
        None,
        "an update must not count as a loss"
    );
    let again = observation::observe(store, Some(&known), at(1), random).await;
    assert_eq!(again.unwrap(), known);
    let committed = store.commit(&begin(1), Some(known.name())).await.unwrap();
    assert!(matches!(committed, Commit::Done), "{committed:?}");

    let ours = store.note("guard").await.unwrap();
    for loss in ["none_known", "cleared"] {
        let stored = store.note("guard").await.unwrap();
        let theirs = format!(r#"{{"history":"{history}","loss":"{loss}"}}"#);
        let put = store.put_note("guard", stored.as_deref(), &theirs, keep);
        assert_eq!(put.await.unwrap(), CasResult::Done);
        let seen = observation::observe(store, Some(&known), at(5), random).await;
        assert!(seen.unwrap().on(&GUARD, at(6)).is_some(), "{loss}");
    }
    assert_ne!(store.note("guard").await.unwrap(), ours);
}

/// A flushed Redis keeps its server ids, so the first gateway to look finds a new store.
#[tokio::test]
async fn flushed_redis_is_detected_before_next_claim() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let is_refused = async |name: &KnownEpoch, seed| {
        let committed = store.commit(&begin(seed), Some(name.name())).await;
        matches!(committed.unwrap(), Commit::OtherEpoch)
    };
    let running = observation::observe(&store, None, at(0), random)
        .await
        .unwrap();
    assert!(!is_refused(&running, 1).await);
    redis.command(&["FLUSHALL"]).await;
    assert!(
        is_refused(&running, 1).await,
        "the loss is not detected yet"
    );
    let newcomer = observation::observe(&store, None, at(1), random)
        .await
        .unwrap();
    assert_eq!(
        newcomer.on(&GUARD, at(1)),
        None,
        "a newcomer cannot know of the loss"
    );
    assert!(is_refused(&running, 1).await);
    // A loss that one gateway detects reaches the others before their next claim.
    let seen = observation::observe(&store, Some(&running), at(2), random).await;
    let seen = seen.unwrap();
    assert!(seen.on(&GUARD, at(3)).is_some());
    assert!(is_refused(&newcomer, 2).await);
    let observed = observation::observe(&store, Some(&newcomer), at(4), random).await;
    assert_eq!(observed.unwrap(), seen, "one loss must be recorded once");
    assert!(!is_refused(&seen, 2).await);

    // Only some keys are lost, as when one node of a cluster is flushed.
    redis.command(&["DEL", "okb:{3}:seal"]).await;
    let seen = observation::observe(&store, Some(&seen), at(100), random).await;
    let since = seen.unwrap().on(&GUARD, at(101)).unwrap().0;
    assert_eq!(since, at(100));
    // An operator ends the guard of the new note only; the loss that another gateway knows stays.
    redis.command(&["FLUSHALL"]).await;
    operator::end(&store, REASON, at(200), random)
        .await
        .unwrap();
    let observed = observation::observe(&store, Some(&running), at(201), random).await;
    assert!(observed.unwrap().on(&GUARD, at(202)).is_some());
}

/// A running gateway detects each kind of loss, whichever client reaches Redis first.
#[tokio::test]
async fn redis_has_new_epoch_after_possible_loss() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut redis = Redis::start(folders[0].path()).await;
    let retention = SignedDuration::from_hours(1);
    let store = open_redis(&redis.url, retention).await;
    let known = observation::observe(&store, None, at(0), random)
        .await
        .unwrap();
    let is_lost = async |store: &RedisStore, known: Option<&KnownEpoch>| {
        let seen = observation::observe(store, known, at(5), random)
            .await
            .unwrap();
        let refused = store.commit(&begin(1), Some(known.unwrap().name())).await;
        let is_lost = seen.on(&GUARD, at(6)).is_some();
        match refused.unwrap() {
            Commit::OtherEpoch => assert!(is_lost && seen.name() != known.unwrap().name()),
            _ => assert_eq!(seen.name(), known.unwrap().name()),
        }
        is_lost
    };

    // The first replica changes the replication id without any loss.
    let replica = redis.replica(folders[1].path()).await;
    redis.await_replica().await;
    assert!(!is_lost(&store, Some(&known)).await);
    // The server was a replica for a while: its own writes are gone.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    redis.follow(&replica).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(is_lost(&store, Some(&known)).await);
    let known = operator::end(&store, REASON, at(7), random).await.unwrap();
    assert!(!is_lost(&store, Some(&known)).await);
    // The server is another process.
    redis.restart_from_snapshot().await;
    let store = open_redis(&redis.url, retention).await;
    assert!(is_lost(&store, Some(&known)).await);
    let known = operator::end(&store, REASON, at(7), random).await.unwrap();
    // The server was flushed, and a client without any earlier knowledge reached it first.
    redis.command(&["FLUSHALL"]).await;
    let seen = observation::observe(&store, Some(&known), at(8), random)
        .await
        .unwrap();
    assert!(seen.on(&GUARD, at(9)).is_some());
    redis.kill().await;
    std::fs::remove_file(folders[0].path().join("dump.rdb")).unwrap();
    redis.start_again().await;
    let store = open_redis(&redis.url, retention).await;
    let newcomer = observation::observe(&store, None, at(8), random)
        .await
        .unwrap();
    assert_eq!(newcomer.on(&GUARD, at(9)), None);
    assert!(is_lost(&store, Some(&known)).await);
}

on_both_stores!(
    commit_is_rejected_in_another_epoch,
    quarantined_attempt_is_stored_without_send_permit,
    guard_is_on_from_loss_until_expiry_or_end,
    commit_is_rejected_under_unknown_seal,
    guard_note_without_id_gets_one_and_is_loss_to_others,
);
