//! The contract of events and cursors.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    ambient::Ambient,
    store::{Cursor, Events, History, Store},
    transaction::{Change, Finding, Source, Statement},
};

use super::{done, next, on_each_store, open, open_redis, pending};
use crate::support::{
    core::{at, begin, schedule},
    redis::Redis,
    world::StoreKind,
};

async fn transaction_history_is_complete_and_ordered(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1);
    let second = pending(&first.transaction, 1);
    let third = second.transaction.observe_check(None, at(400), &schedule());
    let said = Statement::bare(Source::Check, Finding::Succeeded);
    let fourth = third
        .transaction
        .observe_check(Some(said), at(800), &schedule());
    assert_eq!(
        [
            first.is_event,
            second.is_event,
            third.is_event,
            fourth.is_event
        ],
        [true, true, false, true]
    );
    for change in [&first, &second, &third, &fourth] {
        done(store, change).await;
    }
    let key = first.transaction.key();
    for after in 0..=4_u64 {
        let History::Complete(events) = store.history(&key, after).await.unwrap() else {
            panic!("nothing was trimmed")
        };
        let revisions: Vec<u64> = events.iter().map(|event| event.revision()).collect();
        assert_eq!(
            revisions,
            (after + 1..=3).collect::<Vec<_>>(),
            "after {after}"
        );
    }
}

async fn cursor_sees_every_event_once_in_order_per_transaction(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    done(store, &begin(1000)).await;
    let mut cursor = store.events_head().await.unwrap();
    assert!(
        next(store, &cursor).await.is_empty(),
        "it begins at the end"
    );
    let count = 300;
    for number in 0..count {
        let first = begin(number);
        done(store, &first).await;
        done(store, &pending(&first.transaction, 1)).await;
        // Bookkeeping is no event.
        let checked =
            pending(&first.transaction, 1)
                .transaction
                .observe_check(None, at(500), &schedule());
        assert!(!checked.is_event);
        done(store, &checked).await;
    }
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    loop {
        let events = next(store, &cursor).await;
        if events.is_empty() {
            break;
        }
        // Resumed in the middle of what was read, from a written cursor.
        for event in events.iter().take(7) {
            cursor.advance(event);
            let key = event.transaction.key().to_string();
            seen.entry(key)
                .or_default()
                .push(event.transaction.revision());
        }
        cursor = Cursor::decode(&cursor.encode()).unwrap();
    }
    assert_eq!(seen.len(), usize::try_from(count).unwrap());
    assert!(seen.values().all(|revisions| *revisions == [1, 2]));
    assert_eq!(cursor, store.events_head().await.unwrap());

    let mut elsewhere = cursor.clone();
    elsewhere.epoch.push('x');
    let mut ahead = cursor.clone();
    ahead
        .positions
        .iter_mut()
        .for_each(|position| position.number += 1);
    let mut other_shape = cursor;
    other_shape.positions.push(other_shape.positions[0]);
    for cursor in [elsewhere, ahead, other_shape] {
        let events = store.events_after(&cursor).await.unwrap();
        assert!(matches!(events, Events::OutOfRange), "{cursor:?}");
    }
}

async fn events_are_read_from_requested_partitions_only(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let start = store.events_head().await.unwrap();
    let changes: Vec<Change> = (1..=40).map(begin).collect();
    let mut written: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for change in &changes {
        done(store, change).await;
        let key = change.transaction.key();
        let partition = store.partition_of(&key);
        assert!(partition < start.positions.len());
        written.entry(partition).or_default().push(key.to_string());
    }
    for (partition, keys) in &written {
        let mut cursor = start.clone();
        let mut read = Vec::new();
        loop {
            let Events::Next(events) = store.events_in(&cursor, &[*partition]).await.unwrap()
            else {
                panic!("everything is kept")
            };
            if events.is_empty() {
                break;
            }
            for event in &events {
                assert_eq!(event.partition, *partition);
                cursor.advance(event);
                read.push(event.transaction.key().to_string());
            }
        }
        assert_eq!(&read, keys);
    }
    let Events::Next(none) = store.events_in(&start, &[]).await.unwrap() else {
        panic!("nothing is asked")
    };
    assert!(none.is_empty());
}

/// Trims the events of every partition until none is left to be trimmed, and returns their number.
async fn trim_all(store: &dyn Store, now: Timestamp) -> u64 {
    let mut removed = 0;
    for partition in 0..store.partitions() {
        loop {
            match store.trim_events(partition, now).await.unwrap() {
                0 => break,
                some => removed += some,
            }
        }
    }
    removed
}

async fn old_events_are_trimmed_without_commits(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let start = store.events_head().await.unwrap();
    for seed in 0..200 {
        done(store, &begin(seed)).await;
    }
    let key = begin(0).transaction.key();
    assert_eq!(trim_all(store, at(10)).await, 0, "none is old");
    assert!(matches!(
        store.history(&key, 0).await.unwrap(),
        History::Complete(_)
    ));
    let centuries = SignedDuration::from_hours(300 * 366 * 24);
    let removed = trim_all(store, (Ambient::system().now)() + centuries).await;
    // The embedded store keeps its newest segment.
    assert!((150..=200).contains(&removed), "{removed}");
    assert!(matches!(
        store.history(&key, 0).await.unwrap(),
        History::Trimmed
    ));
    assert!(matches!(
        store.events_after(&start).await.unwrap(),
        Events::OutOfRange
    ));
    // The numbers go on.
    let head = store.events_head().await.unwrap();
    let later = begin(1000);
    done(store, &later).await;
    let events = next(store, &head).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].transaction.key(), later.transaction.key());
}

#[tokio::test]
async fn cursor_before_retention_is_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let start = store.events_head().await.unwrap();
    let first = begin(1);
    done(&store, &first).await;
    let middle = store.events_head().await.unwrap();
    done(&store, &pending(&first.transaction, 1)).await;
    let trimmed = async |length: usize| {
        let client = redis::Client::open(redis.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        for partition in 0..8 {
            let mut trim = redis::cmd("XTRIM");
            trim.arg(format!("okb:{{{partition}}}:events"))
                .arg("MAXLEN")
                .arg(length);
            trim.query_async::<i64>(&mut connection).await.unwrap();
        }
    };
    trimmed(1).await;
    let events = store.events_after(&start).await.unwrap();
    assert!(matches!(events, Events::OutOfRange));
    assert_eq!(next(&store, &middle).await.len(), 1, "that one is kept");
    trimmed(0).await;
    let events = store.events_after(&middle).await.unwrap();
    assert!(matches!(events, Events::OutOfRange));
    let end = store.events_head().await.unwrap();
    assert!(next(&store, &end).await.is_empty());
}

#[tokio::test]
async fn trimmed_history_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let first = begin(1);
    done(&store, &first).await;
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for partition in 0..8 {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(format!("okb:{{{partition}}}:events"))
            .arg("MAXLEN")
            .arg(0);
        trim.query_async::<i64>(&mut connection).await.unwrap();
    }
    let second = pending(&first.transaction, 1);
    done(&store, &second).await;
    let key = first.transaction.key();
    assert!(matches!(
        store.history(&key, 0).await.unwrap(),
        History::Trimmed
    ));
    assert!(
        matches!(store.history(&key, 1).await.unwrap(), History::Complete(all) if all.len() == 1)
    );
}

#[tokio::test]
async fn cursor_of_old_partitioning_is_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let now = store.events_head().await.unwrap();
    let read = store.events_after(&now).await.unwrap();
    assert!(matches!(read, Events::Next(_)));
    // Schema 2 named its epoch by the replication id alone.
    let replication_id = now.epoch.strip_prefix("3:").unwrap().to_owned();
    let old = Cursor {
        epoch: replication_id,
        ..now
    };
    let read = store.events_after(&old).await.unwrap();
    assert!(matches!(read, Events::OutOfRange));
}

on_each_store!(
    transaction_history_is_complete_and_ordered,
    cursor_sees_every_event_once_in_order_per_transaction,
    events_are_read_from_requested_partitions_only,
    old_events_are_trimmed_without_commits,
);
