//! Limits on watchers and waiters: one too many is rejected before it has any effect.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, TransactionState, WaitUntil, WatchTransactionRequest,
    WatchTransactionResponse, WatchTransactionsRequest, WatchTransactionsResponse,
};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::support::{
    metrics,
    process::PATIENCE,
    world::{
        Client, PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_refused, buy, error_info, order,
        reference, start_purchase,
    },
};

async fn watch_one(
    client: &mut Client,
    code: &str,
) -> Result<Streaming<WatchTransactionResponse>, Status> {
    let request = WatchTransactionRequest {
        reference_code: code.to_owned(),
        ..WatchTransactionRequest::default()
    };
    Ok(client.watch_transaction(request).await?.into_inner())
}

async fn watch_all(client: &mut Client) -> Result<Streaming<WatchTransactionsResponse>, Status> {
    let request = WatchTransactionsRequest::default();
    Ok(client.watch_transactions(request).await?.into_inner())
}

fn assert_may_retry(status: &Status) {
    let retry = status
        .get_details_retry_info()
        .expect("the error must have a RetryInfo");
    assert!(retry.retry_delay.is_some());
}

#[tokio::test]
async fn watch_over_limit_is_rejected_until_another_ends() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely().set("limits.watchers", "2");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let mut one = watch_one(&mut client, &code).await.unwrap();
    one.message()
        .await
        .unwrap()
        .expect("the watch must return the present state immediately");
    let mut all = watch_all(&mut client).await.unwrap();
    all.message()
        .await
        .unwrap()
        .expect("the watch must return a cursor immediately");

    let refused = watch_one(&mut client, &code).await;
    let reason = "TOO_MANY_WATCHERS";
    assert_may_retry(&assert_refused(
        refused,
        Code::ResourceExhausted,
        reason,
        "maybe",
    ));
    let refused = watch_all(&mut client).await;
    assert_may_retry(&assert_refused(
        refused,
        Code::ResourceExhausted,
        reason,
        "no",
    ));

    drop(all);
    let admitted = async {
        loop {
            match watch_all(&mut client).await {
                Ok(updates) => return updates,
                Err(status) => assert_eq!(error_info(&status).0, reason),
            }
        }
    };
    let admitted = tokio::time::timeout(PATIENCE, admitted).await;
    let mut all = admitted.expect("the place of the ended watch was never released");
    all.message()
        .await
        .unwrap()
        .expect("the watch must return a cursor immediately");
}

#[tokio::test]
async fn purchase_over_waiter_limit_is_rejected_before_claim() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely().set("limits.waiters", "1");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = order(&code, PENDING_FOR_EVER);
    request.wait_until = WaitUntil::Terminal.into();
    let waiting = start_purchase(gateway.client().await, request);
    metrics::until(&gateway, "okebayar_waiters", "", |count| count >= 1.0).await;
    // The waiter is counted before its claim.
    world.ledger_when(&code, "received=1").await;
    gateway
        .until(&code, |one| one.state() == TransactionState::Pending)
        .await;

    let other = reference();
    let refused = client.purchase_prepaid(order(&other, PLAIN)).await;
    let refused = assert_refused(refused, Code::ResourceExhausted, "OVERLOADED", "no");
    assert_may_retry(&refused);
    assert_eq!(world.ledger(&other).await.received, 0);
    // A repeated call returns the present state.
    let replay = client
        .purchase_prepaid(order(&code, PENDING_FOR_EVER))
        .await;
    let replay = replay.unwrap().into_inner();
    assert!(replay.replayed);
    assert_eq!(
        replay.transaction.unwrap().state(),
        TransactionState::Pending
    );
    let request = CheckTransactionRequest {
        reference_code: code.clone(),
        ..CheckTransactionRequest::default()
    };
    let refused = client.check_transaction(request).await;
    let refused = assert_refused(
        refused,
        Code::ResourceExhausted,
        "TOO_MANY_WAITERS",
        "maybe",
    );
    assert_may_retry(&refused);

    // A caller that gives up releases its place.
    waiting.abort();
    let buying = async {
        loop {
            match client.purchase_prepaid(order(&other, PLAIN)).await {
                Ok(bought) => return bought.into_inner(),
                Err(status) => assert_eq!(error_info(&status).0, "OVERLOADED"),
            }
        }
    };
    let bought = tokio::time::timeout(PATIENCE, buying).await;
    let bought = bought.expect("the place of the disconnected caller was never released");
    assert!(!bought.replayed);
    assert_eq!(world.ledger(&other).await.received, 1);
}
