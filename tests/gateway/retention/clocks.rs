//! Clocks that are wrong, and leases and notes that were written by them.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    gateway::Gateway as Rooms,
    inquiries::marks::note_inquired,
    retention::{self, RetentionSettings},
    store::{CasResult, Expiry, Store, StoreError, mark_name},
    transaction::{AttemptToken, Transaction},
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{
    bench::{Bench, bench_ending, intent, retention as long},
    bills::store_of,
    core::{RULES, arming, at, schedule, wish},
    failover::stop,
    metrics::until,
    process::PATIENCE,
    world::{StoreKind, World},
};

const LEASE: &str = "retention";
const PASSES: &str = "retention:passes";

fn now() -> Timestamp {
    (okebayar_gateway::ambient::Ambient::system().now)()
}

/// Settings by which everything ends at once, tombstones of today included.
fn at_once() -> RetentionSettings {
    RetentionSettings {
        final_kept: SignedDuration::ZERO,
        tombstones_kept: SignedDuration::from_hours(-72),
        ..long()
    }
}

fn run(rooms: &Rooms) -> JoinHandle<()> {
    tokio::spawn(retention::run(Arc::clone(&rooms.retention)))
}

async fn put(store: &dyn Store, name: &str, text: &str) {
    let from = store.note(name).await.unwrap();
    let keep = Expiry {
        now: now(),
        until: now() + SignedDuration::from_hours(1),
    };
    let put = store.put_note(name, from.as_deref(), text, keep).await;
    assert_eq!(put.unwrap(), CasResult::Done);
}

fn lease_until(until: Timestamp) -> String {
    json!({ "holder": uuid::Uuid::from_u128(7), "until": until.to_string() }).to_string()
}

/// Returns the note of a last pass some time ago.
fn pass_before(ago: SignedDuration, steady_since: Option<Timestamp>) -> String {
    let at = now() - ago;
    json!({ "at": at, "complete_at": at, "steady_since": steady_since }).to_string()
}

/// Waits until a condition on the bench holds.
async fn until_holds(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

/// Returns true once the record is a tombstone.
async fn is_retired(bench: &Bench) -> bool {
    let loaded = bench.store.inner.load(&intent().key()).await;
    matches!(loaded, Err(StoreError::Retired(_)))
}

/// Waits until the retention has begun so many more passes.
async fn passes(bench: &Bench, count: usize) {
    let reads = || {
        bench
            .store
            .note_reads
            .load(std::sync::atomic::Ordering::SeqCst)
    };
    let before = reads();
    // A pass reads at least the lease, the note of the last pass, and the epoch.
    until_holds("passes", async || reads() >= before + 4 * count).await;
}

/// A clock that was a year ahead wrote a lease, and was corrected.
#[tokio::test]
async fn lease_that_ends_too_late_is_not_believed() {
    let bench = bench_ending(at_once()).await;
    bench.buy().await.unwrap();
    let year = SignedDuration::from_hours(366 * 24);
    put(&bench.store.inner, LEASE, &lease_until(now() + year)).await;
    let running = run(&bench.gateway);
    until_holds("the record did not end", async || {
        !matches!(bench.store.inner.load(&intent().key()).await, Ok(Some(_)))
    })
    .await;
    running.abort();
}

/// A replica whose clock is wrong ends nothing, and leaves the lease to another one.
#[tokio::test]
async fn lease_is_released_while_clocks_differ() {
    let bench = bench_ending(RetentionSettings {
        interval: PATIENCE * 2,
        ..at_once()
    })
    .await;
    bench.buy().await.unwrap();
    bench
        .store
        .set_clock_ahead(Some(SignedDuration::from_mins(5)));
    let running = run(&bench.gateway);
    let ends = || bench.store.note_ends.lock().unwrap().get(LEASE).copied();
    let is_released = |end: Timestamp| end < Timestamp::from_second(2).unwrap();
    until_holds("the lease was not released", async || {
        ends().is_some_and(is_released)
    })
    .await;
    assert!(bench.stored().await.is_some());
    running.abort();
}

/// A machine boots with a clock that is months ahead, or after a week.
#[tokio::test]
async fn nothing_ends_after_a_jump_until_clock_was_steady() {
    let bench = bench_ending(RetentionSettings {
        clock_settles: Duration::from_secs(3),
        ..at_once()
    })
    .await;
    bench.buy().await.unwrap();
    let week = SignedDuration::from_hours(7 * 24);
    put(&bench.store.inner, PASSES, &pass_before(week, None)).await;
    let began = tokio::time::Instant::now();
    let running = run(&bench.gateway);
    while began.elapsed() < Duration::from_secs(2) {
        assert!(bench.stored().await.is_some());
        passes(&bench, 1).await;
    }
    until_holds("the record did not end", async || is_retired(&bench).await).await;
    // A tombstone that has ended stays as well, until the clock was steady for two days.
    passes(&bench, 5).await;
    assert!(is_retired(&bench).await);
    running.abort();
    drop(running.await);
    let steady = Some(now() - SignedDuration::from_hours(49));
    let before = pass_before(SignedDuration::from_mins(1), steady);
    put(&bench.store.inner, PASSES, &before).await;
    let running = run(&bench.gateway);
    until_holds("the tombstone did not end", async || {
        !is_retired(&bench).await
    })
    .await;
    running.abort();
}

/// The first pass of a store removes no tombstone that it has written.
#[tokio::test]
async fn first_pass_removes_no_tombstones() {
    let bench = bench_ending(RetentionSettings {
        interval: PATIENCE * 2,
        ..at_once()
    })
    .await;
    bench.buy().await.unwrap();
    let running = run(&bench.gateway);
    let is_complete = async || {
        let note = bench.store.inner.note(PASSES).await.unwrap();
        note.is_some_and(|note| !note.contains(r#""complete_at":null"#))
    };
    until_holds("the pass did not end", is_complete).await;
    assert!(is_retired(&bench).await);
    running.abort();
}

/// Every replica reports the last complete pass of all of them, not only the holder of the lease.
#[tokio::test]
async fn replica_without_lease_reports_lag_of_all() {
    let mut world = World::new(StoreKind::Redis).await;
    stop(world.start_gateway().await).await;
    world.set("retention.interval", "1h");
    let store = store_of(&world).await;
    let days_3 = SignedDuration::from_hours(72);
    put(&store, PASSES, &pass_before(days_3, None)).await;
    let hour = SignedDuration::from_hours(1);
    put(&store, LEASE, &lease_until(now() + hour)).await;
    let gateway = world.start_gateway().await;
    let lag = "okebayar_retention_lag_seconds";
    until(&gateway, lag, "", |lag| lag > 200_000.0).await;
}

/// A note that this clock renews must not end at once by the clock of the store.
#[tokio::test]
async fn renewed_notes_end_by_the_later_clock() {
    let bench = bench_ending(long()).await;
    let (intent, order) = wish("reference-9", "PULSA10");
    let seconds = now().duration_since(at(0)).as_secs() - 7 * 3600;
    let token = AttemptToken::new(uuid::Uuid::from_u128(9));
    let open = Transaction::begin(intent, order, arming(token, seconds), RULES, &schedule());
    bench.store.inner.commit(&open, None).await.unwrap();
    let key = open.transaction.key();
    note_inquired(&bench.store.inner, &key, "inquiry-1", now())
        .await
        .unwrap();
    let year = SignedDuration::from_hours(366 * 24);
    bench.store.set_clock_ahead(Some(year));
    let running = run(&bench.gateway);
    let end = || {
        let ends = bench.store.note_ends.lock().unwrap();
        ends.get(&mark_name(&key)).copied()
    };
    until_holds("the mark was not renewed", async || end().is_some()).await;
    assert!(end().unwrap() > now() + year + year, "{:?}", end());
    running.abort();
}
