//! The memory of records that have ended: that of their tombstones.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use okebayar_gateway::ambient::Ambient;

use super::support::keys;
use crate::support::{
    bills::store_of,
    failover::stop,
    metrics::{metrics, sum},
    redis::Redis,
    settled::fill,
    world::{Gateway, StoreKind, World},
};

/// The goal, in bytes of memory for each tombstone.
const TOMBSTONE_BYTES_MAX: u64 = 150;
/// The time in which one record ends at the latest.
const EACH_MAX: Duration = Duration::from_millis(30);

/// The number of purchases; `OKEBAYAR_FULL=1` selects a million.
fn purchases() -> u32 {
    let full = std::env::var_os("OKEBAYAR_FULL").is_some_and(|value| value == "1");
    if full { 1_000_000 } else { 2000 }
}

async fn used(redis: &Redis) -> u64 {
    redis.info("memory", "used_memory").await
}

/// Waits until a counter has reached a number.
async fn until_counted(gateway: &Gateway, name: &str, number: u32) {
    let patience = EACH_MAX * number;
    let began = Instant::now();
    while sum(&metrics(gateway).await, name, "") < f64::from(number) {
        assert!(began.elapsed() < patience, "{name} never reached {number}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{name}: {number} after {:.0?}", began.elapsed());
}

#[tokio::test]
async fn memory_of_ended_records_is_that_of_their_tombstones() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("store.event_retention", "4s")
        .set("limits.watch_heartbeat", "1s")
        .set("retention.interval", "20ms");
    // It creates the store.
    stop(world.start_gateway().await).await;
    let redis = world.redis.as_ref().unwrap();
    let before = used(redis).await;
    let store = store_of(&world).await;
    // Ten a second, the last one more than 35 days ago.
    let count = purchases();
    let lasted = SignedDuration::from_secs(i64::from(count) / 10);
    let began = (Ambient::system().now)() - lasted - SignedDuration::from_hours(35 * 24 + 1);
    fill(&store, 1, count as usize, began).await;
    drop(store);
    let filled = used(redis).await;

    let gateway = world.start_gateway().await;
    until_counted(&gateway, "okebayar_retention_retired_total", count).await;
    let trimmed = "okebayar_retention_events_trimmed_total";
    until_counted(&gateway, trimmed, 2 * count).await;
    stop(gateway).await;
    for kind in ["tx", "traces:", "listing", "due", "asked"] {
        let left = keys(redis, &format!("okb:{{*}}:{kind}*")).await;
        assert_eq!(left, Vec::<String>::new());
    }
    let each = |bytes: u64| bytes.saturating_sub(before) / u64::from(count);
    let (record, left) = (each(filled), each(used(redis).await));
    let tombstone = tombstone_bytes(redis).await / u64::from(count);
    println!(
        "{count} purchases: {record} bytes each; once ended {tombstone}, with all else {left}"
    );
    assert!(tombstone <= TOMBSTONE_BYTES_MAX, "{tombstone}");
    // Few tombstones share what every store has, such as empty streams.
    let most = if count < 1_000_000 {
        record / 2
    } else {
        TOMBSTONE_BYTES_MAX
    };
    assert!(left <= most, "{left}");
}

/// Returns the memory of all tombstones.
async fn tombstone_bytes(redis: &Redis) -> u64 {
    let mut connection = redis.connection().await;
    let mut bytes = 0;
    for keys in keys(redis, "okb:*:gone:*").await.chunks(1000) {
        let mut usage = redis::pipe();
        for key in keys {
            usage.cmd("MEMORY").arg("USAGE").arg(key);
        }
        let used: Vec<u64> = usage.query_async(&mut connection).await.unwrap();
        bytes += used.iter().sum::<u64>();
    }
    bytes
}
