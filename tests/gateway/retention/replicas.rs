//! Several gateways on one store, and crashes while records end.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::support::{assert_retired, end_at_once, keys, retire, until_retired};
use crate::support::{
    failover::stop,
    metrics::{metrics, sum, until},
    on_both_stores,
    process::PATIENCE,
    world::{
        Client, Gateway, PLAIN, StoreKind, World, assert_succeeded, buy, error_info, get, order,
        reference, try_buy,
    },
};

const COUNT: u32 = 60;

async fn buy_all(gateway: &Gateway, codes: &[String]) {
    let client = gateway.client().await;
    stream::iter(codes)
        .for_each_concurrent(32, |code| {
            let mut client = client.clone();
            async move {
                assert_succeeded(&buy(&mut client, code, PLAIN).await);
            }
        })
        .await;
}

fn references() -> Vec<String> {
    (0..COUNT).map(|_| reference()).collect()
}

async fn assert_each_was_sent_once(world: &World, codes: &[String]) {
    for code in codes {
        assert_eq!(world.ledger(code).await.received, 1, "{code}");
    }
}

/// Callers repeat reference codes at two gateways while one of them retires them: each call gets the
/// transaction, or learns that it is retired.
#[tokio::test]
async fn repeated_calls_send_nothing_while_records_are_retired() {
    let mut world = World::new(StoreKind::Redis).await;
    end_at_once(&mut world);
    // Long enough for calls before the end.
    world.set("retention.final", "3s");
    let gateway = world.start_gateway().await;
    let replica = world.start_replica().await;
    let codes = Arc::new(references());
    buy_all(&gateway, &codes).await;
    let clients = [gateway.client().await, replica.client().await];
    let repeating = clients.map(|client| {
        let codes = Arc::clone(&codes);
        tokio::spawn(async move { repeat_until_retired(client, &codes).await })
    });
    for repeated in repeating {
        tokio::time::timeout(PATIENCE, repeated)
            .await
            .unwrap()
            .unwrap();
    }
    assert_each_was_sent_once(&world, &codes).await;
    // Each was retired once, whichever of the two had the lease at that moment.
    let mut ended = 0.0;
    for gateway in [&gateway, &replica] {
        let metrics = metrics(gateway).await;
        ended += sum(&metrics, "okebayar_retention_retired_total", "");
    }
    assert!((ended - f64::from(COUNT)).abs() < 0.5, "{ended}");
}

async fn repeat_until_retired(client: Client, codes: &[String]) {
    stream::iter(codes)
        .for_each_concurrent(4, |code| {
            let mut client = client.clone();
            async move {
                loop {
                    match try_buy(&mut client, order(code, PLAIN)).await {
                        Ok(response) => {
                            assert!(response.replayed);
                            assert_succeeded(&response.transaction.unwrap());
                        }
                        Err(status) => {
                            let retired = ("REFERENCE_RETIRED".to_owned(), "maybe".to_owned());
                            assert_eq!(error_info(&status), retired, "{status}");
                            return;
                        }
                    }
                }
            }
        })
        .await;
}

/// A gateway is killed in the middle of a step, and the next one finishes.
async fn retirement_is_finished_after_crash(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let codes = references();
    buy_all(&gateway, &codes).await;
    stop(gateway).await;
    end_at_once(&mut world);
    let mut gateway = world.start_gateway().await;
    until_retired(&gateway, "SUCCEEDED", 10).await;
    gateway.process.kill().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let done = async {
        for code in &codes {
            while let Ok(found) = get(&mut client, code).await {
                assert_succeeded(&found);
            }
            assert_retired(get(&mut client, code).await, "SUCCEEDED");
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    if let Some(redis) = &world.redis {
        // The crash left neither an index entry nor a trace code behind.
        for pattern in ["okb:*:tx:*", "okb:*:trace:*", "okb:*:listing", "okb:*:due*"] {
            assert_eq!(keys(redis, pattern).await, Vec::<String>::new());
        }
    }
    for code in &codes {
        let repeated = try_buy(&mut client, order(code, PLAIN)).await;
        assert_retired(repeated, "SUCCEEDED");
    }
    assert_each_was_sent_once(&world, &codes).await;
}

/// The lease is released by a shutdown, and expires after a crash.
#[tokio::test]
async fn one_replica_at_a_time_retires_and_hands_over() {
    let mut world = World::new(StoreKind::Redis).await;
    end_at_once(&mut world);
    let first = world.start_gateway().await;
    let mut client = first.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    until_retired(&first, "SUCCEEDED", 1).await;
    let second = world.start_replica().await;
    // The second one finds the lease taken, so it lists nothing.
    let (name, notes) = (
        "okebayar_store_operation_duration_seconds_count",
        "operation=\"note\",",
    );
    let before = sum(&metrics(&second).await, name, notes);
    until(&second, name, notes, |now| now >= before + 5.0).await;
    let listed = sum(&metrics(&second).await, name, "operation=\"oldest\",");
    assert!(listed.abs() < 0.1, "{listed}");
    stop(first).await;
    let mut client = second.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    until_retired(&second, "SUCCEEDED", 1).await;
    // After a crash, once the lease has expired.
    let mut second = second;
    second.process.kill().await;
    let third = world.start_gateway().await;
    let mut client = third.client().await;
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
    until_retired(&third, "SUCCEEDED", 1).await;
}

/// Another replica retires a transaction that a caller watches.
#[tokio::test]
async fn resumed_watch_of_transaction_ends_when_it_is_retired() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let bought = buy(&mut client, &code, PLAIN).await;
    assert_succeeded(&bought);
    retire(&world, &code).await;
    for after in [0, 1, bought.revision] {
        let watched = client
            .watch_transaction(crate::support::watch::request(&code, after))
            .await;
        assert_retired(watched.map(drop), "SUCCEEDED");
    }
}

on_both_stores!(retirement_is_finished_after_crash);
