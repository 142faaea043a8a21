//! Several gateways on one Redis.

use std::sync::Arc;

use okebayar_gateway::grpc::v1::{TransactionState, WatchTransactionRequest};
use tokio::sync::Semaphore;

use crate::support::{
    duplicates::buy_at_once,
    process::PATIENCE,
    world::{
        ANSWER_AND_CALLBACK_LOST, Client, Gateway, PENDING_THEN_SUCCESS, PLAIN, SLOW, StoreKind,
        USER_ID, World, assert_succeeded, buy, order, reference, start_purchase,
    },
};

const ROUNDS: usize = 20;

#[tokio::test]
async fn concurrent_duplicates_at_two_gateways_buy_once() {
    let world = World::new(StoreKind::Redis).await;
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let clients = [gateways[0].client().await, gateways[1].client().await];
    for round in 0..ROUNDS {
        let account_number = if round % 2 == 0 { PLAIN } else { SLOW };
        let transactions = buy_at_once(&world, &clients, account_number).await;
        transactions.iter().for_each(assert_succeeded);
    }
}

const WATCHED: usize = 1000;
/// The number of concurrent purchases and watchers.
const AT_ONCE: usize = 100;

/// Watches until the final state, cutting the stream after a few messages and resuming, and returns
/// the revisions seen.
async fn watch_with_cuts(mut client: Client, code: &str, seed: usize) -> Vec<i64> {
    let mut revisions: Vec<i64> = vec![1];
    for attempt in 0.. {
        // Cut after zero to two messages.
        let take = (seed * 7 + attempt * 3) % 3;
        let request = WatchTransactionRequest {
            reference_code: code.to_owned(),
            after_revision: *revisions.last().unwrap(),
            ..WatchTransactionRequest::default()
        };
        let mut updates = client
            .watch_transaction(request)
            .await
            .unwrap()
            .into_inner();
        for _ in 0..=take {
            match updates.message().await.unwrap() {
                Some(update) => {
                    // A heartbeat has none.
                    let Some(transaction) = update.transaction else {
                        continue;
                    };
                    let revision = transaction.revision;
                    if revisions.last() == Some(&revision) {
                        // A watch resumed at the end returns the final state again.
                        return revisions;
                    }
                    revisions.push(revision);
                }
                None => return revisions,
            }
        }
    }
    unreachable!("the watch has no end")
}

#[tokio::test]
async fn thousand_watchers_see_changes_made_by_another_replica() {
    // The sandbox calls back the first gateway; buyers and watchers use the second.
    let mut world = World::new(StoreKind::Redis).await;
    // Polling is disabled in effect: only wake-ups can deliver the changes.
    world
        .check_rarely()
        .set("events.poll_interval", "1h")
        .set("events.safety_poll_interval", "1h");
    let called_back = world.start_gateway().await;
    let watched = world.start_replica().await;
    let client = watched.client().await;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = (0..WATCHED)
        .map(|number| {
            let (mut client, slots) = (client.clone(), Arc::clone(&slots));
            tokio::spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let code = reference();
                buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
                (watch_with_cuts(client, &code, number).await, code)
            })
        })
        .collect();
    for task in tasks {
        let (seen, code) = tokio::time::timeout(PATIENCE, task)
            .await
            .expect("a watcher timed out")
            .unwrap();
        let last = *seen.last().unwrap();
        assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "{code}");
        let settled = crate::support::world::get(&mut client.clone(), &code)
            .await
            .unwrap();
        assert_eq!(settled.state(), TransactionState::Succeeded, "{code}");
        // The watch ends with the final state; an answer that arrives after its own callback may
        // have extended the timeline since.
        assert!(settled.revision >= last, "{code}");
    }
    assert!(
        called_back.process.text().contains("\"to\":\"SUCCEEDED\""),
        "callbacks reached the first"
    );
}

#[tokio::test]
async fn missed_wake_up_is_found_by_polling() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let late = ["--settle-after", "2s"];
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, USER_ID, &late).await);
    world
        .check_rarely()
        .set("events.poll_interval", "200ms")
        .set("events.safety_poll_interval", "1h");
    let _told = world.start_gateway().await;
    let watched = world.start_replica().await;
    // Disconnect every wake-up subscription permanently.
    let redis = world.redis.as_ref().unwrap();
    let no_wake_ups = ["ACL", "SETUSER", "default", "-subscribe", "-psubscribe"];
    redis.command(&no_wake_ups).await;
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    let code = reference();
    let mut client = watched.client().await;
    buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    let request = WatchTransactionRequest {
        reference_code: code.clone(),
        ..WatchTransactionRequest::default()
    };
    let updates = client.watch_transaction(request).await.unwrap();
    let mut updates = updates.into_inner();
    let first = updates.message().await.unwrap().unwrap();
    assert_eq!(
        first.transaction.unwrap().state(),
        TransactionState::Pending
    );
    let settled = async {
        let mut last = None;
        while let Some(update) = updates.message().await.unwrap() {
            last = update.transaction.or(last);
        }
        last.unwrap()
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    assert_succeeded(&settled.expect("the missed change was never found"));
}

#[tokio::test]
async fn replica_settles_purchases_of_killed_replica() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.timeout", "1s")
        .set("limits.queue_timeout", "500ms");
    let mut killed: Gateway = world.start_replica().await;
    let heir = world.start_gateway().await;
    let code = reference();
    let client = killed.client().await;
    let call = start_purchase(client, order(&code, ANSWER_AND_CALLBACK_LOST));
    world.ledger_when(&code, "received=1").await;
    killed.process.kill().await;
    drop(call.await);
    assert_succeeded(&heir.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}
