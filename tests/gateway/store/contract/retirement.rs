//! The contract of records that end: retirement, tombstones, and what is read to find them.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use jiff::SignedDuration;
use okebayar_gateway::{
    store::{
        BoundedList, Claim, Commit, ListingEntry, OldestListing, RetiredState, Retirement, Store,
        StoreError, Tombstone, claim, first_day_kept,
    },
    transaction::{
        AttemptToken, Change, FailureReason, Finding, NotSent, Source, Statement, TraceCode,
        Transaction,
    },
};

use super::{account, done, due, next, on_each_store, open, open_redis, pending};
use crate::support::{
    core::{RULES, arming, at, begin, schedule, wish},
    redis::Redis,
    world::StoreKind,
};

fn observe(from: &Transaction, finding: Finding, seconds: i64) -> Change {
    let said = Statement::bare(Source::Answer, finding);
    from.observe([said], at(seconds), &schedule()).unwrap()
}

fn failed(from: &Transaction, seconds: i64) -> Change {
    let finding = Finding::Failed(FailureReason::ProductUnavailable);
    observe(from, finding, seconds)
}

fn not_sent(from: &Transaction, seconds: i64) -> Change {
    let finding = Finding::NotSent {
        attempt: from.attempt(),
        why: NotSent::Unreachable,
    };
    let said = Statement::bare(Source::Gateway, finding);
    from.observe([said], at(seconds), &schedule()).unwrap()
}

/// Arms a transaction for another attempt.
fn again(from: &Transaction, token: u128, seconds: i64) -> Change {
    let token = AttemptToken::new(uuid::Uuid::from_u128(token));
    let order = from.order().clone();
    from.arm_again(order, arming(token, seconds), &schedule())
        .unwrap()
}

/// Stores a transaction, and lets it fail.
async fn fail(store: &dyn Store, seed: u128) -> Arc<Transaction> {
    let first = begin(seed);
    done(store, &first).await;
    let last = failed(&first.transaction, 1);
    done(store, &last).await;
    last.transaction
}

async fn retire(store: &dyn Store, last: &Transaction) -> Retirement {
    let tombstone = Tombstone::of(last).expect("it is final");
    store.retire(last, Some(&tombstone)).await.unwrap()
}

fn assert_retired<T: std::fmt::Debug>(result: Result<T, StoreError>, last: &Transaction) {
    match result {
        Err(StoreError::Retired(tombstone)) => {
            assert_eq!(Some(tombstone), Tombstone::of(last));
        }
        other => panic!("{other:?}"),
    }
}

async fn oldest(
    store: &dyn Store,
    state: &'static str,
    to: i64,
    limit: usize,
) -> Vec<ListingEntry> {
    let mut found = Vec::new();
    for partition in 0..store.partitions() {
        let mut after = None;
        loop {
            let page = store
                .oldest(&OldestListing {
                    partition,
                    state,
                    after,
                    to: at(to),
                    limit,
                })
                .await
                .unwrap();
            let is_ordered = page.is_sorted() && found.last() < page.first();
            assert!(
                is_ordered || after_is_new(&found, &page),
                "{found:?} {page:?}"
            );
            after = page.last().cloned();
            found.extend(page);
            if after.is_none() {
                break;
            }
        }
    }
    found
}

/// Returns true when no entry of a page was found before: the next partition begins anew.
fn after_is_new(found: &[ListingEntry], page: &[ListingEntry]) -> bool {
    page.is_sorted() && page.iter().all(|entry| !found.contains(entry))
}

async fn retired_reference_is_never_stored_again(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let last = fail(store, 1).await;
    let key = last.key();
    assert_eq!(oldest(store, "FAILED", 10, 3).await.len(), 1);
    assert_eq!(retire(store, &last).await, Retirement::Done);

    assert_retired(store.load(&key).await, &last);
    assert_retired(store.history(&key, 0).await, &last);
    assert_retired(store.history(&key, 1).await, &last);
    // A first version, in any epoch, and a change of any version.
    let first = begin(1);
    assert_retired(store.commit(&first, None).await, &last);
    let epoch = store.epoch(None).await.unwrap().name;
    assert_retired(claim(store, first.clone(), &epoch).await, &last);
    assert_retired(store.commit(&pending(&last, 2), None).await, &last);
    assert_retired(
        store.commit(&pending(&last, 2).rewritten(), None).await,
        &last,
    );

    assert!(due(store, at(1_000_000)).await.is_empty());
    assert_eq!(store.count("FAILED", 0, i64::MAX).await.unwrap(), 0);
    assert!(oldest(store, "FAILED", 10, 3).await.is_empty());
    assert_eq!(retire(store, &last).await, Retirement::Conflict, "once");
    assert_retired(store.load(&key).await, &last);
    // Another reference code is unaffected.
    done(store, &begin(2)).await;
}

async fn retirement_requires_version_that_was_read(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let last = fail(store, 1).await;
    let success = observe(&last, Finding::Succeeded, 2);
    done(store, &success).await;
    assert_eq!(retire(store, &last).await, Retirement::Conflict);
    assert_eq!(
        store.load(&last.key()).await.unwrap().unwrap(),
        success.transaction
    );

    // After a loss the same version may be of another attempt.
    let (intent, order) = wish("reference-2", "PULSA10");
    let attempt = |number| {
        let token = AttemptToken::new(uuid::Uuid::from_u128(number));
        let (intent, order) = (intent.clone(), order.clone());
        Transaction::begin(intent, order, arming(token, 0), RULES, &schedule()).transaction
    };
    let theirs = begin_with(store, attempt(2)).await;
    let ours = failed(&attempt(1), 1).transaction;
    assert_eq!(
        (ours.version(), ours.key()),
        (theirs.version(), theirs.key())
    );
    assert_eq!(retire(store, &ours).await, Retirement::Conflict);
    assert!(store.load(&theirs.key()).await.unwrap().is_some());
}

async fn begin_with(store: &dyn Store, first: Arc<Transaction>) -> Arc<Transaction> {
    let change = Change {
        transaction: Arc::clone(&first),
        from: None,
        is_event: true,
        releases: None,
    };
    done(store, &change).await;
    let last = failed(&first, 1);
    done(store, &last).await;
    last.transaction
}

async fn deleted_reference_begins_anew(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let first = begin(1);
    done(store, &first).await;
    let unsent = not_sent(&first.transaction, 1);
    done(store, &unsent).await;
    let third = again(&unsent.transaction, 77, 2);
    done(store, &third).await;
    let unsent = not_sent(&third.transaction, 3);
    done(store, &unsent).await;
    assert_eq!(Tombstone::of(&unsent.transaction), None, "it is not final");
    let deleted = store.retire(&unsent.transaction, None).await.unwrap();
    assert_eq!(deleted, Retirement::Done);
    let key = first.transaction.key();
    assert!(store.load(&key).await.unwrap().is_none());
    assert!(oldest(store, "NOT_SENT", 10, 3).await.is_empty());

    let cursor = store.events_head().await.unwrap();
    done(store, &first).await;
    assert_eq!(store.load(&key).await.unwrap().unwrap(), first.transaction);
    // The revisions of the deleted record do not mix with the new ones.
    let okebayar_gateway::store::History::Complete(events) = store.history(&key, 0).await.unwrap()
    else {
        panic!("nothing was trimmed");
    };
    let of_first: Vec<_> = events.iter().map(|event| event.as_event()).collect();
    assert_eq!(of_first, [first.transaction.as_event()]);
    assert_eq!(next(store, &cursor).await.len(), 1);
}

/// NOT_SENT is deleted while a call arms it again: one of the two wins.
async fn deletion_and_rearming_exclude_each_other(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &opened.store;
    let (mut deleted, mut armed) = (0, 0);
    for seed in 0..40_u128 {
        let first = begin(seed);
        done(&**store, &first).await;
        let unsent = not_sent(&first.transaction, 1);
        done(&**store, &unsent).await;
        let change = again(&unsent.transaction, 1000 + seed, 2);
        let (arming, deleting) = (Arc::clone(store), Arc::clone(store));
        let key = unsent.transaction.key();
        let committing = tokio::spawn(async move {
            // A different order in each round.
            if seed % 2 == 0 {
                tokio::task::yield_now().await;
            }
            arming.commit(&change, None).await.unwrap()
        });
        let deleting =
            tokio::spawn(async move { deleting.retire(&unsent.transaction, None).await.unwrap() });
        let stored = match (committing.await.unwrap(), deleting.await.unwrap()) {
            (Commit::Done, Retirement::Conflict) => {
                armed += 1;
                true
            }
            (Commit::Conflict(None), Retirement::Done) => {
                deleted += 1;
                false
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(store.load(&key).await.unwrap().is_some(), stored);
    }
    assert_eq!(armed + deleted, 40);
}

/// Callers repeat a reference code at the very moment at which it is retired.
async fn no_claim_wins_while_reference_is_retired(kind: StoreKind) {
    let opened = open(kind).await;
    let last = fail(&*opened.store, 1).await;
    let epoch = opened.store.epoch(None).await.unwrap().name;
    let claims = (0..60_u128).map(|number| {
        let (store, epoch, last) = (Arc::clone(&opened.store), epoch.clone(), Arc::clone(&last));
        tokio::spawn(async move {
            if number == 30 {
                assert_eq!(retire(&*store, &last).await, Retirement::Done);
                return true;
            }
            let (intent, order) = wish("reference-1", "PULSA10");
            let token = AttemptToken::new(uuid::Uuid::from_u128(100 + number));
            let change = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
            match claim(&*store, change, &epoch).await {
                Ok(Claim::Taken(stored)) => stored == last,
                Err(StoreError::Retired(_)) => true,
                other => panic!("{other:?}"),
            }
        })
    });
    for claimed in join_all(claims).await {
        assert!(claimed.unwrap());
    }
    assert_retired(opened.store.load(&last.key()).await, &last);
}

async fn tombstones_end_by_the_day_of_last_change(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    // Enough for several steps of every store.
    let mut keys = Vec::new();
    for seed in 0..600_u128 {
        let last = fail(store, seed).await;
        let changed_on = 100 + i64::try_from(seed % 2).unwrap();
        let tombstone = Tombstone {
            state: RetiredState::Failed,
            changed_on,
            owner: String::new(),
        };
        let retired = store.retire(&last, Some(&tombstone)).await.unwrap();
        assert_eq!(retired, Retirement::Done);
        keys.push((last.key(), changed_on));
    }
    let sweep = async |before_day| {
        let (mut removed, mut from) = (0, None);
        loop {
            let swept = store.sweep_tombstones(before_day, from.as_deref()).await;
            let swept = swept.unwrap();
            removed += swept.removed;
            match swept.next {
                Some(next) => from = Some(next),
                None => return removed,
            }
        }
    };
    assert_eq!(sweep(100).await, 0);
    assert_eq!(sweep(101).await, 300);
    for (key, changed_on) in &keys {
        let loaded = store.load(key).await;
        match changed_on {
            100 => assert!(loaded.unwrap().is_none()),
            _ => assert!(matches!(loaded, Err(StoreError::Retired(_)))),
        }
    }
    assert_eq!(
        sweep(first_day_kept(at(0), SignedDuration::ZERO)).await,
        300
    );
    assert_eq!(sweep(i64::MAX).await, 0);
}

async fn oldest_entries_are_read_in_pages(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    for number in 0..30_u128 {
        let (intent, order) = wish(&format!("reference-{number:02}"), "PULSA10");
        let token = AttemptToken::new(uuid::Uuid::from_u128(number));
        let seconds = i64::try_from(number).unwrap() / 5;
        let first = Transaction::begin(intent, order, arming(token, seconds), RULES, &schedule());
        done(store, &first).await;
        if number % 3 == 0 {
            done(store, &failed(&first.transaction, 100)).await;
        }
    }
    let names = |found: Vec<ListingEntry>| -> BTreeSet<String> {
        found.into_iter().map(|entry| entry.name).collect()
    };
    let expected = |numbers: &mut dyn Iterator<Item = u32>| -> BTreeSet<String> {
        numbers
            .map(|number| format!("reference{number:02}"))
            .collect()
    };
    let all = expected(&mut (0..30).step_by(3));
    for limit in [1, 2, 100] {
        assert_eq!(names(oldest(store, "FAILED", 200, limit).await), all);
    }
    // Those that were accepted before a time.
    let early = expected(&mut (0..15).step_by(3));
    assert_eq!(names(oldest(store, "FAILED", 3, 2).await), early);
    assert_eq!(names(oldest(store, "FAILED", 0, 2).await), BTreeSet::new());
    assert_eq!(oldest(store, "SENDING", 200, 7).await.len(), 20);
}

async fn trace_code_is_removed_only_from_its_transaction(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let (key, other) = (begin(1).transaction.key(), begin(2).transaction.key());
    let trace = TraceCode::parse("trace-1").unwrap();
    store.index_trace(&key, &account(), &trace).await.unwrap();
    store
        .unindex_trace(&other, &account(), &trace)
        .await
        .unwrap();
    assert_eq!(
        store.find_by_trace(&account(), &trace).await.unwrap(),
        Some(key.clone())
    );
    for _ in 0..2 {
        store.unindex_trace(&key, &account(), &trace).await.unwrap();
        assert_eq!(store.find_by_trace(&account(), &trace).await.unwrap(), None);
    }
}

async fn oldest_item_is_removed_only_if_it_is_the_one_that_was_read(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let list = BoundedList::Orphans;
    assert_eq!(store.oldest_item(list).await.unwrap(), None);
    assert!(!store.remove_oldest(list, "a").await.unwrap());
    for item in ["a", "b", "c"] {
        store.push(list, item).await.unwrap();
    }
    assert_eq!(store.oldest_item(list).await.unwrap().as_deref(), Some("a"));
    assert!(!store.remove_oldest(list, "b").await.unwrap());
    assert!(store.remove_oldest(list, "a").await.unwrap());
    assert_eq!(store.items(list).await.unwrap(), ["c", "b"]);
    for item in ["b", "c"] {
        assert!(store.remove_oldest(list, item).await.unwrap());
    }
    store.push(list, "d").await.unwrap();
    assert_eq!(store.items(list).await.unwrap(), ["d"]);
}

/// A tombstone of a later release must never make a reference code look unused.
#[tokio::test]
async fn unreadable_tombstone_keeps_reference_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let last = fail(&store, 1).await;
    retire(&store, &last).await;
    let bucket = buckets(&redis).await.pop().unwrap();
    let field = String::from(
        "return redis.call('HSET', KEYS[1], redis.call('HKEYS', KEYS[1])[1], ARGV[1])",
    );
    redis.command(&["EVAL", &field, "1", &bucket, "1Z"]).await;
    for result in [
        store.load(&last.key()).await.map(drop),
        store.commit(&begin(1), None).await.map(drop),
    ] {
        assert!(
            matches!(result, Err(StoreError::Corrupt { .. })),
            "{result:?}"
        );
    }
    assert_eq!(
        store
            .sweep_tombstones(i64::MAX, None)
            .await
            .unwrap()
            .removed,
        0
    );
}

async fn buckets(redis: &Redis) -> Vec<String> {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut keys = redis::cmd("KEYS");
    keys.arg("okb:{*}:gone:*");
    keys.query_async(&mut connection).await.unwrap()
}

/// A full server refuses purchases, and retiring records makes room.
#[tokio::test]
async fn full_server_retires_records() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let last = fail(&store, 1).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = store.commit(&begin(2), None).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(retire(&store, &last).await, Retirement::Done);
    assert_retired(store.load(&last.key()).await, &last);
}

/// Redis does not roll back a script that fails, so what fails must not have deleted anything.
#[tokio::test]
async fn record_outlives_retirement_that_fails() {
    for kind_of_key in ["gone", "listing", "due"] {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(folder.path()).await;
        let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
        let last = fail(&store, 1).await;
        let partition = store.partition_of(&last.key());
        let broken = match kind_of_key {
            "gone" => {
                // The bucket is found by another record with the same reference code.
                retire(&store, &last).await;
                let bucket = buckets(&redis).await.pop().unwrap();
                redis.command(&["DEL", &bucket]).await;
                done(&store, &begin(1)).await;
                done(&store, &failed(&begin(1).transaction, 1)).await;
                bucket
            }
            "listing" => format!("okb:{{{partition}}}:listing"),
            _ => format!("okb:{{{partition}}}:due"),
        };
        let kept = format!("test:{{{partition}}}");
        if kind_of_key == "listing" {
            redis.command(&["RENAME", &broken, &kept]).await;
        }
        redis.command(&["SET", &broken, "of another type"]).await;
        let tombstone = Tombstone::of(&last).unwrap();
        store.retire(&last, Some(&tombstone)).await.unwrap_err();
        let stored = store.load(&last.key()).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&last), "{kind_of_key}");
        // A repeated call finds the record, and claims nothing.
        let epoch = store.epoch(None).await.unwrap().name;
        let (intent, order) = wish("reference-1", "PULSA10");
        let token = AttemptToken::new(uuid::Uuid::from_u128(100));
        let change = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
        let repeated = claim(&store, change, &epoch).await.unwrap();
        assert!(matches!(repeated, Claim::Taken(stored) if stored == last));
        redis.command(&["DEL", &broken]).await;
        if kind_of_key == "listing" {
            redis.command(&["RENAME", &kept, &broken]).await;
        }
        assert_eq!(oldest(&store, "FAILED", 10, 3).await.len(), 1, "listed");
        assert_eq!(retire(&store, &last).await, Retirement::Done);
        assert_retired(store.load(&last.key()).await, &last);
        assert!(oldest(&store, "FAILED", 10, 3).await.is_empty());
    }
}

/// The trace codes of a record are removed before it, by a script that a full server must accept as
/// well, also when they are gone already.
#[tokio::test]
async fn full_server_removes_trace_codes_repeatedly() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let (key, trace) = (
        begin(1).transaction.key(),
        TraceCode::parse("trace-1").unwrap(),
    );
    store.index_trace(&key, &account(), &trace).await.unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..2 {
        store.unindex_trace(&key, &account(), &trace).await.unwrap();
        assert_eq!(store.find_by_trace(&account(), &trace).await.unwrap(), None);
    }
}

on_each_store!(
    retired_reference_is_never_stored_again,
    retirement_requires_version_that_was_read,
    deleted_reference_begins_anew,
    deletion_and_rearming_exclude_each_other,
    no_claim_wins_while_reference_is_retired,
    tombstones_end_by_the_day_of_last_change,
    oldest_entries_are_read_in_pages,
    trace_code_is_removed_only_from_its_transaction,
    oldest_item_is_removed_only_if_it_is_the_one_that_was_read,
);
