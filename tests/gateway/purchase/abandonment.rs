//! A stalled store delays no other purchase, and unfinished work is retried (promises 1, 3 and 9).

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    GetBalanceRequest, TransactionState, account_service_client::AccountServiceClient,
};
use tonic::{Code, Request};

use crate::support::{
    process::PATIENCE,
    world::{
        Client, Gateway, PLAIN, SLOW, StoreKind, USER_ID, World, assert_succeeded, bought, buy,
        get, order, reference, start_purchase,
    },
};

const QUEUE: usize = 4;

/// Buys a reference code until it succeeds; meanwhile only the store may be the reason for an
/// error.
async fn buy_at_last(client: &mut Client, code: &str) {
    let buying = async {
        loop {
            match client.purchase_prepaid(order(code, PLAIN)).await {
                Ok(answer) => {
                    let transaction = bought(answer.into_inner());
                    if transaction.state() != TransactionState::Sending {
                        return assert_succeeded(&transaction);
                    }
                }
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, buying)
        .await
        .expect("the purchase was never accepted");
}

/// Reads a reference code until nothing is stored under it, or NOT_SENT.
async fn until_given_up(client: &mut Client, code: &str) {
    let reading = async {
        loop {
            match get(client, code).await {
                Ok(transaction) if transaction.state() == TransactionState::NotSent => return,
                Ok(transaction) => assert_eq!(transaction.state(), TransactionState::Sending),
                Err(status) if status.code() == Code::NotFound => return,
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("a claim was never abandoned");
}

#[tokio::test]
async fn unconfirmed_claims_release_their_slots_and_are_abandoned() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("store.timeout", "300ms")
        .set("limits.queue", &QUEUE.to_string())
        .set("limits.queue_timeout", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);

    world.redis.as_ref().unwrap().freeze();
    let mut codes = Vec::new();
    for wave in 0..3 {
        let calls = (0..QUEUE).map(|_| {
            let (mut client, code) = (client.clone(), reference());
            codes.push(code.clone());
            async move { client.purchase_prepaid(order(&code, PLAIN)).await }
        });
        let calls: Vec<_> = calls.collect();
        for refused in futures::future::join_all(calls).await {
            let status = refused.unwrap_err();
            // RESOURCE_EXHAUSTED would mean that they still occupy the queue.
            assert_eq!(status.code(), Code::Unavailable, "{wave}: {status}");
        }
    }
    world.redis.as_ref().unwrap().thaw();
    buy_at_last(&mut client, &reference()).await;
    for code in &codes {
        until_given_up(&mut client, code).await;
        assert_eq!(world.ledger(code).await.received, 0);
    }
    // Abandoned reference codes can be bought, once.
    buy_at_last(&mut client, &codes[0]).await;
    assert_eq!(world.ledger(&codes[0]).await.received, 1);
}

/// Creates a purchase whose POST has ended while the store does not answer.
async fn outcome_without_store(world: &mut World) -> (Gateway, String) {
    let late = ["--settle-after", "2s"];
    let sandbox = world.sandbox_with(world.sandbox_port, USER_ID, &late).await;
    world.sandbox = Some(sandbox);
    world
        .set("store.timeout", "300ms")
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "1s")
        .set("accounts.main.timeout", "10s");
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let mut request = Request::new(order(&code, SLOW));
    request.set_timeout(Duration::from_secs(1));
    let call = start_purchase(client, request);
    world.ledger_when(&code, "received=1").await;
    world.redis.as_ref().unwrap().freeze();
    let is_unstored = |line: &str| line.contains("outcome not stored; retrying").then_some(());
    gateway.process.line(is_unstored).await;
    drop(call.await);
    (gateway, code)
}

#[tokio::test]
async fn sending_slot_is_released_while_outcome_cannot_be_stored() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let (gateway, code) = outcome_without_store(&mut world).await;
    // A query occupies the only sending slot and needs no store.
    let mut accounts = AccountServiceClient::connect(format!("http://{}", gateway.grpc))
        .await
        .unwrap();
    accounts
        .get_balance(GetBalanceRequest::default())
        .await
        .unwrap();
    world.redis.as_ref().unwrap().thaw();
    let mut client = gateway.client().await;
    let stored = async {
        while !matches!(get(&mut client, &code).await, Ok(found) if found.state() == TransactionState::Succeeded)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stored)
        .await
        .expect("the outcome was never stored");
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn shutdown_without_store_fails_and_lists_unstored_outcomes() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let (mut gateway, code) = outcome_without_store(&mut world).await;
    gateway.process.signal("-TERM");
    let status = gateway.process.ended().await;
    assert!(!status.success(), "{}", gateway.process.text());
    let named = code.replace('-', "");
    let is_logged = gateway.process.output().into_iter().any(|line| {
        line.contains("outcome not stored before exit:") && line.replace('-', "").contains(&named)
    });
    assert!(is_logged, "{}", gateway.process.text());

    // Checks settle the outcomes lost with that process.
    world.redis.as_ref().unwrap().thaw();
    let gateway = world.start_gateway().await;
    assert_succeeded(&gateway.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}
