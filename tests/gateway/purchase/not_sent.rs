//! Promises 1 and 3: an attempt that provably sent nothing reports so, and its reference code stays
//! usable.

use std::time::Duration;

use okebayar_gateway::grpc::v1::TransactionState;
use tonic::{Code, Request};

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    redis::Redis,
    world::{
        ANSWER_AND_CALLBACK_LOST, PLAIN, StoreKind, World, assert_refused, assert_succeeded,
        bought, buy, error_info, get, order, pushback_ms, reference, retry_delay_ms,
    },
};

async fn refused_connection_keeps_reference_code_usable(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    for _ in 0..2 {
        let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
        assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    }
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.state(), TransactionState::NotSent);
    assert!(!stored.terminal && stored.safe_to_refund && stored.next_step().allows_purchase());

    world.start_sandbox().await;
    let answer = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.replayed);
    assert_succeeded(&bought(answer));
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

#[tokio::test]
async fn overload_rejects_purchases_but_not_replays() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.queue", "1")
        .set("limits.sending", "1")
        .set("accounts.main.timeout", "5s");
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut request = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_millis(500));
    let mut client = gateway.client().await;
    let first = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(first.state(), TransactionState::Sending);

    let excess = reference();
    let refused = client.purchase_prepaid(order(&excess, PLAIN)).await;
    let status = assert_refused(refused, Code::ResourceExhausted, "OVERLOADED", "no");
    assert_eq!(world.ledger(&excess).await.received, 0);
    // A client with a retry policy reads the trailer, any other caller the details.
    assert!(retry_delay_ms(&status).is_some_and(|delay| delay > 0));
    assert_eq!(pushback_ms(&status), retry_delay_ms(&status));

    let mut replay = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    replay.set_timeout(Duration::from_millis(500));
    assert!(
        client
            .purchase_prepaid(replay)
            .await
            .unwrap()
            .into_inner()
            .replayed
    );
}

#[tokio::test]
async fn queued_purchase_is_abandoned_unsent_after_timeout() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "200ms");
    let gateway = world.start_gateway().await;
    let (busy, waiting) = (reference(), reference());
    let mut client = gateway.client().await;
    let mut request = Request::new(order(&busy, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_millis(300));
    client.purchase_prepaid(request).await.unwrap();
    let refused = client.purchase_prepaid(order(&waiting, PLAIN)).await;
    assert_refused(refused, Code::ResourceExhausted, "OVERLOADED", "no");
    assert_eq!(
        get(&mut client, &waiting).await.unwrap().state(),
        TransactionState::NotSent
    );
    assert_eq!(world.ledger(&waiting).await.received, 0);
}

#[tokio::test]
async fn hanging_store_sends_nothing_and_reports_maybe() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "300ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    world.redis.as_ref().unwrap().freeze();
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    world.redis.as_ref().unwrap().thaw();
    // The claim is indeterminate: it is abandoned, never sent, and the reference code stays usable.
    let transaction = loop {
        match client.purchase_prepaid(order(&code, PLAIN)).await {
            Ok(answer) if bought(answer.get_ref().clone()).state() == TransactionState::Sending => {
            }
            Ok(answer) => break bought(answer.into_inner()),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
        }
    };
    assert_succeeded(&transaction);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

#[tokio::test]
async fn redis_is_used_again_after_restart() {
    let mut world = World::new(StoreKind::Redis).await;
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let redis = Redis::start_with(world.path(), &options).await;
    world
        .set("store.url", &redis.url)
        .set("store.timeout", "1s")
        // Redis syncs every write, so a restart loses nothing.
        .set("store.failover_guard", "0s");
    world.redis = Some(redis);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (before, after) = (reference(), reference());
    assert_succeeded(&buy(&mut client, &before, PLAIN).await);

    world.redis.as_mut().unwrap().kill().await;
    let refused = client.purchase_prepaid(order(&after, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    assert_eq!(
        get(&mut client, &before).await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(world.ledger(&after).await.received, 0);

    world.redis.as_mut().unwrap().start_again().await;
    let bought = async {
        loop {
            match client.purchase_prepaid(order(&after, PLAIN)).await {
                Ok(answer) => return bought(answer.into_inner()),
                Err(status) => assert_eq!(error_info(&status).1, "maybe", "{status}"),
            }
        }
    };
    assert_succeeded(
        &tokio::time::timeout(PATIENCE, bought)
            .await
            .expect("Redis was never used again"),
    );
    let replay = client
        .purchase_prepaid(order(&before, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(
        replay.replayed,
        "an acknowledged purchase must survive the restart"
    );
    assert_eq!(world.ledger(&before).await.received, 1);
}

on_both_stores!(refused_connection_keeps_reference_code_usable);
