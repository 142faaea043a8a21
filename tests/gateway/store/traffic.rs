//! The commands that Redis executes, counted by `INFO commandstats`, which counts those of scripts as
//! well: for purchases of an idle and of a busy gateway, and for a page of a listing.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::SignedDuration;
use okebayar_gateway::store::{Commit, Listing, ListingEntry, Store};

use super::contract::{done, open_redis};
use crate::support::{
    core::{at, begin},
    metrics::until,
    redis::Redis,
    world::{Client, PLAIN, StoreKind, World, assert_succeeded, buy, reference},
};

/// The number of purchases that are counted.
const PURCHASES: u64 = 300;
/// The number of concurrent purchases of the busy gateway.
const AT_ONCE: usize = 32;

/// The most calls of each command for one prepaid purchase that succeeds at once: the claim, the
/// outcome, the trace code and the price are a script each, whose commands are counted too. There is
/// no other command.
const OF_PURCHASE: [(&str, u64); 12] = [
    ("evalsha", 4),
    // The sales before and after the claim; the seal, by the claim; the price, by its script.
    ("get", 4),
    // The tombstone, by the claim. The gateway loads no record.
    ("hget", 1),
    // The record, by both commits; the number of trace codes.
    ("hmget", 3),
    // The record, by both commits; the trace code, and their number.
    ("hset", 4),
    ("incr", 2),
    // The epoch, by the claim.
    ("info", 2),
    ("publish", 2),
    // The price.
    ("set", 1),
    ("xadd", 2),
    // The listing, by both commits; the due indexes, by the claim.
    ("zadd", 4),
    // The listing and the due indexes, by the outcome.
    ("zrem", 3),
];

/// The calls for one verification of the store, each of which reads the identity by `HGETALL`.
const OF_VERIFICATION: [(&str, u64); 5] = [
    ("hgetall", 1),
    ("info", 3),
    ("set", 1),
    // The note of the guard, and the seals of 64 partitions.
    ("get", 65),
    ("ping", 2),
];

/// Returns the number of calls of each command so far.
async fn calls(redis: &Redis) -> BTreeMap<String, u64> {
    let mut ask = redis::cmd("INFO");
    ask.arg("commandstats");
    let mut connection = redis.connection().await;
    let output: String = ask.query_async(&mut connection).await.unwrap();
    let of_command = |line: &str| {
        let (name, values) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = values.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), calls))
    };
    output.lines().filter_map(of_command).collect()
}

/// Returns the number of calls of each command since `before`, except those of `INFO` by the test.
async fn calls_since(
    redis: &Redis,
    before: &BTreeMap<String, u64>,
    own_info: u64,
) -> BTreeMap<String, u64> {
    let mut since = calls(redis).await;
    for (name, calls) in &mut since {
        *calls -= before.get(name).copied().unwrap_or_default();
        if name == "info" {
            // Those of the test itself.
            *calls = calls.saturating_sub(own_info);
        }
    }
    since.retain(|name, calls| *calls > 0 && !name.starts_with("client"));
    since
}

async fn buy_many(client: &Client, at_once: usize) {
    let buying = (0..PURCHASES).map(|_| {
        let mut client = client.clone();
        async move { assert_succeeded(&buy(&mut client, &reference(), PLAIN).await) }
    });
    let buying = stream::iter(buying).buffer_unordered(at_once);
    buying.collect::<()>().await;
}

/// The most times that the server reads from its connections for each purchase of an idle gateway:
/// once for each round trip, and rarely a second time for calls that begin together. Verifications
/// of the store are a part of the rest.
const READS_OF_IDLE_PURCHASE: f64 = 3.5;

/// Returns how often the server has read from its connections.
async fn reads(redis: &Redis) -> u64 {
    redis.info("stats", "total_reads_processed").await
}

/// Verifies that purchases cause no other commands, and no more of them. The poll for due checks,
/// the gauges and the pass of the retention take place once, when the gateway starts.
async fn assert_no_needless_command(at_once: usize) {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("checks.poll_interval", "1h")
        .set("telemetry.census_interval", "1h")
        .set("retention.interval", "1h");
    let gateway = world.start_gateway().await;
    // The last step of the first pass of the retention reads the oldest item of each list.
    let name = "okebayar_store_operation_duration_seconds_count";
    let label = "operation=\"oldest_item\",";
    until(&gateway, name, label, |count| count >= 3.0).await;
    let client = gateway.client().await;
    let redis = world.redis.as_ref().unwrap();
    // Connections, scripts and epoch are ready after these.
    buy_many(&client, at_once).await;
    let before = calls(redis).await;
    let reads_before = reads(redis).await;
    buy_many(&client, at_once).await;
    let reads = reads(redis).await - reads_before;
    let made = calls_since(redis, &before, 3).await;

    // One verification may have begun before the count.
    let verifications = 1 + made.get("hgetall").copied().unwrap_or_default();
    let most: BTreeMap<&str, u64> = OF_PURCHASE.into_iter().collect();
    let of_verification: BTreeMap<&str, u64> = OF_VERIFICATION.into_iter().collect();
    for (name, calls) in &made {
        let of = |table: &BTreeMap<&str, u64>| table.get(name.as_str()).copied().unwrap_or(0);
        let allowed = of(&most) * PURCHASES + of(&of_verification) * verifications;
        assert!(*calls <= allowed, "{name}: {calls} > {allowed} of {made:?}");
    }
    assert_eq!(made["publish"], 2 * PURCHASES, "each was bought");
    let most = READS_OF_IDLE_PURCHASE * f64::from(u32::try_from(PURCHASES).unwrap());
    assert!(
        f64::from(u32::try_from(reads).unwrap()) <= most,
        "{reads} reads"
    );
}

#[tokio::test]
async fn purchases_of_idle_gateway_make_no_needless_command() {
    assert_no_needless_command(1).await;
}

#[tokio::test]
async fn purchases_of_busy_gateway_make_no_needless_command() {
    assert_no_needless_command(AT_ONCE).await;
}

#[tokio::test]
async fn idle_poll_counts_each_partition_once() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("checks.poll_interval", "1h")
        .set("telemetry.census_interval", "1h");
    let redis = world.redis.as_ref().unwrap();
    let before = calls(redis).await;
    let gateway = world.start_gateway().await;
    // Its first poll comes before it has made a check, and nothing is due.
    let client = gateway.client().await;
    assert_succeeded(&buy(&mut client.clone(), &reference(), PLAIN).await);
    let made = calls_since(redis, &before, 1).await;
    assert_eq!(made.get("zcount"), Some(&64), "{made:?}");
    assert_eq!(made.get("zrangebyscore"), None, "{made:?}");
}

#[tokio::test]
async fn claim_reads_notes_behind_it_when_server_has_forgotten_script() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let names = ["none".to_owned()];
    for seed in 1..=3 {
        let committed = store.commit_and_read(&begin(seed), None, &names).await;
        let (committed, read) = committed.unwrap();
        assert!(matches!(committed, Commit::Done));
        assert_eq!(read, Some(vec![None]));
        redis.command(&["SCRIPT", "FLUSH"]).await;
    }
}

#[tokio::test]
async fn page_of_listing_reads_share_of_each_partition() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    // It has eight partitions.
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    for seed in 1..=1000 {
        done(&store, &begin(seed)).await;
    }
    let listing = Listing {
        state: "SENDING",
        from: at(0),
        after: ListingEntry {
            created_ms: ListingEntry::MS_MAX,
            name: String::new(),
        },
        limit: 100,
    };
    let sent = async || redis.info("stats", "total_net_output_bytes").await;
    let before = sent().await;
    let found = store.list(&listing).await.unwrap();
    let reply_bytes = sent().await - before;
    assert_eq!(found.len(), 100);
    // A member takes about 45 bytes; each partition has more than a page of them. The replies to
    // the test are a few thousand bytes.
    assert!(reply_bytes < 25_000, "{reply_bytes}");
}
