//! The cost of many `WatchTransactions` streams: one reader serves them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use okebayar_gateway::grpc::v1::{WatchTransactionsRequest, WatchTransactionsResponse};
use tokio::task::JoinHandle;
use tonic::Streaming;

use crate::support::{
    metrics::{self, sum},
    on_both_stores,
    process::PATIENCE,
    world::{Gateway, PLAIN, StoreKind, World, buy, reference},
};

/// The size of the test; `OKEBAYAR_FULL=1` selects the full size.
struct Size {
    watchers: usize,
    /// Purchases per round while watched.
    purchases: usize,
    rounds: usize,
    /// The interval between purchases.
    pace: Duration,
    /// The permitted factor by which claims may be slower than without watchers.
    slower_max: f64,
}

fn size() -> Size {
    if std::env::var_os("OKEBAYAR_FULL").is_some_and(|value| value == "1") {
        return Size {
            watchers: 200,
            purchases: 500,
            rounds: 4,
            pace: Duration::from_millis(100),
            slower_max: 2.0,
        };
    }
    // Other tests run at the same time.
    Size {
        watchers: 50,
        purchases: 40,
        rounds: 5,
        pace: Duration::from_millis(50),
        slower_max: 6.0,
    }
}

/// The number of watchers per connection.
const CONNECTION_WATCHERS: usize = 25;

async fn watchers(gateway: &Gateway, count: usize) -> Vec<Streaming<WatchTransactionsResponse>> {
    let mut watching = Vec::new();
    while watching.len() < count {
        let mut client = gateway.client().await;
        for _ in 0..CONNECTION_WATCHERS.min(count - watching.len()) {
            let request = WatchTransactionsRequest::default();
            let updates = client.watch_transactions(request).await.unwrap();
            let mut updates = updates.into_inner();
            let first = updates.message().await.unwrap().unwrap();
            assert_eq!(first.transaction, None);
            watching.push(updates);
        }
    }
    watching
}

/// Watches until this many transactions that it saw begin are final; returns the revisions of each.
async fn until_final(
    mut updates: Streaming<WatchTransactionsResponse>,
    wanted: usize,
) -> BTreeMap<String, Vec<i64>> {
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut finals = BTreeSet::new();
    while finals.len() < wanted {
        let update = updates.message().await.unwrap().expect("the stream ended");
        let Some(transaction) = update.transaction else {
            continue;
        };
        let code = transaction.reference_code;
        let revisions = seen.entry(code.clone()).or_default();
        revisions.push(transaction.revision);
        if transaction.terminal && revisions[0] == 1 {
            finals.insert(code);
        }
    }
    seen
}

/// Buys at a fixed rate; returns the codes and the durations of the calls.
async fn buy_at_pace(gateway: &Gateway, count: usize, pace: Duration) -> (Vec<String>, Vec<f64>) {
    let client = gateway.client().await;
    let mut ticks = tokio::time::interval(pace);
    let mut buying: Vec<JoinHandle<(String, f64)>> = Vec::new();
    for _ in 0..count {
        ticks.tick().await;
        let mut client = client.clone();
        buying.push(tokio::spawn(async move {
            let (code, began) = (reference(), Instant::now());
            buy(&mut client, &code, PLAIN).await;
            (code, began.elapsed().as_secs_f64())
        }));
    }
    let mut bought = (Vec::new(), Vec::new());
    for one in buying {
        let (code, took) = one.await.unwrap();
        bought.0.push(code);
        bought.1.push(took);
    }
    bought
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

const STORE_CALLS: &str = "okebayar_store_operation_duration_seconds";

/// Returns the mean duration of one commit between two samples of the metrics.
fn commit_mean(before: &str, after: &str) -> f64 {
    let grown = |what: &str| {
        let name = format!("{STORE_CALLS}_{what}");
        sum(after, &name, "operation=\"commit\"") - sum(before, &name, "operation=\"commit\"")
    };
    grown("sum") / grown("count")
}

#[tokio::test]
async fn claim_rate_is_kept_under_many_watchers() {
    let size = size();
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    let (mut commits_alone, mut commits_watched) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let before = metrics::metrics(&gateway).await;
        let (_, times) = buy_at_pace(&gateway, size.purchases.div_ceil(2), size.pace).await;
        let between = metrics::metrics(&gateway).await;
        commits_alone.push(commit_mean(&before, &between));
        alone.extend(times);

        let watching: Vec<_> = watchers(&gateway, size.watchers)
            .await
            .into_iter()
            .map(|updates| tokio::spawn(until_final(updates, size.purchases)))
            .collect();
        let before = metrics::metrics(&gateway).await;
        let (codes, times) = buy_at_pace(&gateway, size.purchases, size.pace).await;
        let after = metrics::metrics(&gateway).await;
        commits_watched.push(commit_mean(&before, &after));
        watched.extend(times);
        for watcher in watching {
            let seen = tokio::time::timeout(PATIENCE, watcher).await;
            let seen = seen.expect("a watcher timed out").unwrap();
            for code in &codes {
                let revisions = &seen[code];
                let last = *revisions.last().unwrap();
                assert_eq!(*revisions, (1..=last).collect::<Vec<_>>(), "{code}");
            }
        }
    }
    let (alone, watched) = (median(alone), median(watched));
    let (commits_alone, commits_watched) = (median(commits_alone), median(commits_watched));
    println!(
        "calls: {:.1} ms alone, {:.1} ms watched; commits: {:.2} ms alone, {:.2} ms watched",
        alone * 1e3,
        watched * 1e3,
        commits_alone * 1e3,
        commits_watched * 1e3
    );
    // One millisecond is within the noise of the machine.
    let bound = |alone: f64| alone * size.slower_max + 0.001;
    assert!(watched <= bound(alone), "{watched} s, alone {alone} s");
    assert!(
        commits_watched <= bound(commits_alone),
        "{commits_watched} s, alone {commits_alone} s"
    );
}

/// Returns how often events were read from the store.
async fn reads(gateway: &Gateway) -> f64 {
    let metrics = metrics::metrics(gateway).await;
    let name = format!("{STORE_CALLS}_count");
    sum(&metrics, &name, "operation=\"events_")
}

async fn events_are_read_once_for_all_watchers(kind: StoreKind) {
    const WATCHERS: usize = 40;
    const PURCHASES: usize = 60;
    let mut world = World::new(kind).await;
    world
        .set("events.poll_interval", "1h")
        .set("events.safety_poll_interval", "1h");
    let gateway = world.start_gateway().await;
    let watching = watchers(&gateway, WATCHERS).await;
    // The first event synchronizes every watcher with the reader.
    buy(&mut gateway.client().await, &reference(), PLAIN).await;
    let watching: Vec<_> = watching
        .into_iter()
        .map(|updates| tokio::spawn(until_final(updates, PURCHASES + 1)))
        .collect();
    let before = reads(&gateway).await;
    let pace = Duration::from_millis(10);
    buy_at_pace(&gateway, PURCHASES, pace).await;
    for watcher in watching {
        let seen = tokio::time::timeout(PATIENCE, watcher).await;
        assert!(seen.expect("a watcher timed out").unwrap().len() > PURCHASES);
    }
    let read = reads(&gateway).await - before;
    // Two events per purchase, and one read after each that finds no more; separate readers would
    // read at least once per few events each.
    let bound = f64::from(u32::try_from(4 * PURCHASES + WATCHERS).unwrap());
    assert!(read <= bound, "{read} reads");
}

#[tokio::test]
async fn idle_wake_ups_read_no_events() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .check_rarely()
        .set("events.poll_interval", "1s")
        .set("events.safety_poll_interval", "1h");
    let gateway = world.start_gateway().await;
    let watching = watchers(&gateway, 10).await;
    let settled = async {
        // Reads caused by the new connection happen within a second.
        loop {
            let before = reads(&gateway).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            if reads(&gateway).await <= before {
                return;
            }
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    settled.expect("watchers polled although wake-ups arrived");
    drop(watching);
}

on_both_stores!(events_are_read_once_for_all_watchers);
