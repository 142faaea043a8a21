//! Conditions under which nothing ends.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::SignedDuration;
use okebayar_gateway::{
    gateway::Gateway as Rooms,
    retention::{self, RetentionSettings},
    store::{RetiredState, Store, StoreError, Tombstone},
};
use tokio::task::JoinHandle;

use super::support::{assert_retired, end_at_once, until_retired};
use crate::support::{
    bench::{Bench, bench_ending, intent, retention as long},
    failover::{guard, stop},
    metrics::until,
    process::PATIENCE,
    world::{PLAIN, StoreKind, World, assert_succeeded, buy, get, reference},
};

/// The store may have lost later versions of what it holds.
#[tokio::test]
async fn nothing_ends_while_failover_guard_is_on() {
    let mut world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    stop(gateway).await;
    guard(&world, "start").await;
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    let failures = "okebayar_retention_failures_total";
    until(&gateway, failures, "possible_loss", |count| count >= 3.0).await;
    let mut client = gateway.client().await;
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    guard(&world, "end").await;
    until_retired(&gateway, "SUCCEEDED", 1).await;
    assert_retired(get(&mut client, &code).await, "SUCCEEDED");
}

/// Returns a bench whose records end at once, with a final record.
async fn bench_with_final_record() -> Bench {
    let bench = bench_ending(RetentionSettings {
        final_kept: SignedDuration::ZERO,
        ..long()
    })
    .await;
    let bought = bench.buy().await.unwrap();
    assert!(bought.status().state.is_terminal(), "{:?}", bought.status());
    bench
}

/// Runs the retention of a bench.
fn run(rooms: &Rooms) -> JoinHandle<()> {
    tokio::spawn(retention::run(Arc::clone(&rooms.retention)))
}

async fn until_ended(bench: &Bench) {
    let ended = async {
        while bench.store.inner.load(&intent().key()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the record did not end");
}

/// Waits until the retention has read the clock of the store so many more times.
async fn until_clock_was_read(bench: &Bench, times: usize) {
    let before = bench.store.clock_reads.load(Ordering::SeqCst);
    let read = async {
        while bench.store.clock_reads.load(Ordering::SeqCst) < before + times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
}

/// A gateway whose clock is ahead would end records early.
#[tokio::test]
async fn nothing_ends_while_clocks_differ() {
    let bench = bench_with_final_record().await;
    // The bench allows a minute.
    for ahead in [61, -61] {
        bench
            .store
            .set_clock_ahead(Some(SignedDuration::from_secs(ahead)));
        let running = run(&bench.gateway);
        until_clock_was_read(&bench, 3).await;
        assert!(bench.stored().await.is_some(), "{ahead}");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }
    bench
        .store
        .set_clock_ahead(Some(SignedDuration::from_secs(-30)));
    let running = run(&bench.gateway);
    until_ended(&bench).await;
    running.abort();
}

/// Within the allowed difference, the earlier clock counts.
#[tokio::test]
async fn fast_clock_alone_ends_nothing() {
    let bench = bench_ending(RetentionSettings {
        final_kept: SignedDuration::from_secs(5),
        ..long()
    })
    .await;
    bench.buy().await.unwrap();
    bench
        .store
        .set_clock_ahead(Some(SignedDuration::from_secs(-50)));
    let began = std::time::Instant::now();
    let running = run(&bench.gateway);
    until_clock_was_read(&bench, 3).await;
    while began.elapsed() < Duration::from_secs(6) {
        until_clock_was_read(&bench, 1).await;
    }
    assert!(
        bench.stored().await.is_some(),
        "by the store's clock it is younger"
    );
    running.abort();
}

#[tokio::test]
async fn nothing_ends_while_store_is_unfit_or_shared_with_release_without_tombstones() {
    let bench = bench_with_final_record().await;
    bench.store.is_unfit.store(true, Ordering::SeqCst);
    bench.gateway.failover.verify_store().await.unwrap_err();
    let running = run(&bench.gateway);
    let notes = || bench.store.note_reads.load(Ordering::SeqCst);
    let wait = async |more: usize| {
        let before = notes();
        while notes() < before + more {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait(10)).await.unwrap();
    assert!(bench.stored().await.is_some());
    bench.store.ends_records.store(false, Ordering::SeqCst);
    bench.store.is_unfit.store(false, Ordering::SeqCst);
    bench.gateway.failover.verify_store().await.unwrap();
    tokio::time::timeout(PATIENCE, wait(10)).await.unwrap();
    assert!(bench.stored().await.is_some());
    bench.store.ends_records.store(true, Ordering::SeqCst);
    until_ended(&bench).await;
    running.abort();
}

/// A call that is admitted before its reference code is retired finds the tombstone at its claim.
#[tokio::test]
async fn late_claim_of_retired_reference_sends_nothing() {
    let bench = bench_ending(long()).await;
    let first = bench.buy().await.unwrap();
    assert_eq!(bench.posts(), 1);
    let late = bench.begin_late("note", intent()).await;
    let tombstone = Tombstone {
        state: RetiredState::Succeeded,
        changed_on: 1,
        owner: String::new(),
    };
    bench
        .store
        .inner
        .retire(&first, Some(&tombstone))
        .await
        .unwrap();
    bench.store.go_on.notify_one();
    let refused = late.await.unwrap().unwrap_err();
    assert!(
        matches!(
            &refused,
            okebayar_gateway::purchase::PurchaseError::NotClaimed(StoreError::Retired(found))
                if *found == tombstone
        ),
        "{refused:?}"
    );
    bench.settle().await;
    assert_eq!(bench.posts(), 1);
}
