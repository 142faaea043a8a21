//! Parts of the store that fail, and records that cannot be read.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use okebayar_gateway::{
    retention::{self, RetentionSettings},
    store::Store,
    transaction::{AccountName, TraceCode},
};

use super::support::{end_at_once, get_by_trace, retire, until_retired};
use crate::support::{
    bench::{bench_ending, intent, retention as long},
    bills::{key, store_of},
    failover::stop,
    metrics::until,
    ports,
    process::{CANARY_PIN, PATIENCE},
    world::{
        PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_succeeded, buy, order, reference, try_buy,
    },
};

const FAILURES: &str = "okebayar_retention_failures_total";

/// The listing of one partition cannot be read.
#[tokio::test]
async fn partition_that_fails_does_not_stop_the_others() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("retention.renewal_interval", "50ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let store = store_of(&world).await;
    let mut codes: Vec<String> = (0..12).map(|_| reference()).collect();
    codes.sort_by_key(|code| store.partition_of(&key(code)));
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }
    stop(gateway).await;
    let first = store.partition_of(&key(&codes[0]));
    let others = codes.iter();
    let others = others.filter(|code| store.partition_of(&key(code)) != first);
    let count = u32::try_from(others.count()).unwrap();
    assert!(count > 0);
    let redis = world.redis.as_ref().unwrap();
    let listing = format!("okb:{{{first}}}:listing");
    redis.command(&["DEL", &listing]).await;
    redis.command(&["SET", &listing, "of another type"]).await;
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    until_retired(&gateway, "SUCCEEDED", count).await;
    until(&gateway, FAILURES, "store", |count| count >= 2.0).await;
}

/// Records of a store of schema 3 never end, which an operator should know.
#[tokio::test]
async fn store_of_schema_3_is_reported_and_ends_nothing() {
    let mut world = World::new(StoreKind::Redis).await;
    world.redis.as_ref().unwrap().use_schema_3().await;
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
    until(&gateway, FAILURES, "schema", |count| count >= 3.0).await;
    until(&gateway, "okebayar_retention_lag_seconds", "", |lag| {
        lag < 0.5
    })
    .await;
    let text = gateway.process.text();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("store upgrade"))
        .filter(|line| line.contains("retention interrupted"))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// A key that is missing makes thousands of records unreadable.
#[tokio::test]
async fn unreadable_records_are_one_line_a_pass() {
    let mut world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let store = store_of(&world).await;
    let codes: Vec<String> = (0..3).map(|_| reference()).collect();
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }
    stop(gateway).await;
    let redis = world.redis.as_ref().unwrap();
    for code in &codes {
        let key = key(code);
        let record = format!("okb:{{{}}}:tx:{key}", store.partition_of(&key));
        redis
            .command(&["HSET", &record, "body", "unreadable"])
            .await;
    }
    end_at_once(&mut world);
    world.set("retention.interval", "10m");
    let gateway = world.start_gateway().await;
    until(&gateway, FAILURES, "unreadable", |count| count >= 3.0).await;
    let lines = || {
        let text = gateway.process.text();
        let lines = text.lines();
        lines
            .filter(|line| line.contains("unreadable record"))
            .count()
    };
    let logged = async {
        while lines() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, logged).await.unwrap();
    assert_eq!(lines(), 1, "{}", gateway.process.text());
}

/// Another replica retires a record between its load and its retirement here.
#[tokio::test]
async fn trace_code_of_record_that_another_replica_retired_is_not_indexed_again() {
    let bench = bench_ending(RetentionSettings {
        final_kept: jiff::SignedDuration::ZERO,
        interval: Duration::from_millis(20),
        ..long()
    })
    .await;
    let bought = bench.buy().await.unwrap();
    let (account, trace) = (
        bought.account().clone(),
        bought.trace_codes().first().cloned().unwrap(),
    );
    let find = async || bench.store.inner.find_by_trace(&account, &trace).await;
    assert_eq!(find().await.unwrap(), Some(intent().key()));
    *bench.store.late.lock().unwrap() = Some("retire");
    let running = tokio::spawn(retention::run(Arc::clone(&bench.gateway.retention)));
    let waiting = bench.store.waiting.notified();
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    bench.store.inner.retire(&bought, None).await.unwrap();
    bench.store.go_on.notify_one();
    let reads = || bench.store.note_reads.load(Ordering::SeqCst);
    let before = reads();
    let passed = async {
        while reads() < before + 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, passed).await.unwrap();
    assert_eq!(find().await.unwrap(), None);
    running.abort();
}

/// A stale entry of a retired transaction does not hide the transaction of another account.
#[tokio::test]
async fn trace_code_finds_transaction_behind_a_retired_one() {
    let mut world = World::new(StoreKind::Redis).await;
    let port = ports::free();
    let _sandbox = world.sandbox_with(port, "second-member", &[]).await;
    world
        .set("default_account", "main")
        .set("accounts.second.url", &format!("http://127.0.0.1:{port}/"))
        .set("accounts.second.userid", "second-member")
        .set("accounts.second.pin", CANARY_PIN);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (old, live) = (reference(), reference());
    assert_succeeded(&buy(&mut client, &old, PLAIN).await);
    let mut of_second = order(&live, PENDING_FOR_EVER);
    of_second.account = "second".to_owned();
    try_buy(&mut client, of_second).await.unwrap();
    let has_trace = |it: &okebayar_gateway::grpc::v1::Transaction| !it.trace_code.is_empty();
    let trace_code = gateway.until(&live, has_trace).await.trace_code;
    let main = AccountName::parse("main").unwrap();
    let trace = TraceCode::parse(&trace_code).unwrap();
    let indexed = store_of(&world).await;
    indexed
        .index_trace(&key(&old), &main, &trace)
        .await
        .unwrap();
    retire(&world, &old).await;
    let found = get_by_trace(&mut client, &trace_code).await.unwrap();
    assert_eq!(found.reference_code, live);
}
