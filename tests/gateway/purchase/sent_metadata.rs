//! Promise 3: `sent` describes the reference code, not the call. It is `no` only if the store was
//! read and shows that nothing was sent under the code.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, GetTransactionRequest, ListNoticesRequest, ListOrphanCallbacksRequest,
    ListTransactionsRequest, WatchTransactionRequest, get_transaction_request::Code as Named,
    notice_service_client::NoticeServiceClient,
};
use tokio::process::Command;
use tonic::{Code, Request, Status};

use crate::support::{
    process::PATIENCE,
    world::{
        ANSWER_AND_CALLBACK_LOST, BINARY, PLAIN, PRODUCT, StoreKind, World, assert_refused, buy,
        error_info, get, order, reference, start_purchase,
    },
};

/// Asserts that a status does not quote the store's address.
fn assert_discreet(status: &Status, world: &World) {
    let port = world.redis.as_ref().unwrap().port().to_string();
    for secret in ["redis://", "127.0.0.1", &port] {
        assert!(!status.message().contains(secret), "{status}");
    }
}

#[tokio::test]
async fn repeated_purchase_reports_maybe_while_redis_is_down() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "1s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PLAIN).await;
    world.redis.as_mut().unwrap().kill().await;

    let again = client.purchase_prepaid(order(&code, PLAIN)).await;
    let status = assert_refused(again, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    assert_discreet(&status, &world);
    let address = format!("http://{}", gateway.grpc);
    let mut call = Command::new(BINARY);
    call.args(["call", "--address", &address, "purchase-prepaid", &code])
        .args([PRODUCT, PLAIN])
        .kill_on_drop(true);
    let called = tokio::time::timeout(PATIENCE, call.output()).await;
    assert_eq!(called.unwrap().unwrap().status.code(), Some(6));

    // The request is malformed but its reference code is valid: the store was not read.
    let malformed = client.purchase_prepaid(order(&code, "two words")).await;
    assert_refused(malformed, Code::InvalidArgument, "INVALID_REQUEST", "maybe");

    let read = get(&mut client, &code).await;
    let status = assert_refused(read, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    assert_discreet(&status, &world);
    let request = CheckTransactionRequest {
        reference_code: code.clone(),
        ..CheckTransactionRequest::default()
    };
    let checked = client.check_transaction(request).await;
    assert_refused(checked, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    let request = WatchTransactionRequest {
        reference_code: code,
        ..WatchTransactionRequest::default()
    };
    let watched = client.watch_transaction(request).await.map(drop);
    assert_refused(watched, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
}

#[tokio::test]
async fn unknown_trace_code_reports_maybe() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let request = GetTransactionRequest {
        account: String::new(),
        code: Some(Named::TraceCode("unknown".to_owned())),
    };
    let found = gateway.client().await.get_transaction(request).await;
    assert_refused(found, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
}

#[tokio::test]
async fn unreadable_record_reports_maybe() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PLAIN).await;
    let redis = world.redis.as_ref().unwrap();
    let script = "local key = redis.call('KEYS', 'okb:*:tx:*')[1] \
                  return redis.call('HSET', key, 'body', '{}')";
    redis.command(&["EVAL", script, "0"]).await;
    let again = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(again, Code::DataLoss, "RECORD_CORRUPT", "maybe");
    let read = get(&mut client, &code).await;
    assert_refused(read, Code::DataLoss, "RECORD_CORRUPT", "maybe");
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn answer_arrives_before_deadline_while_redis_hangs() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("events.poll_interval", "100ms").check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (known, code) = (reference(), reference());
    buy(&mut client, &known, PLAIN).await;
    let mut request = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_secs(4));
    let call = start_purchase(client.clone(), request);
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    world.redis.as_ref().unwrap().freeze();
    // Every answer carries our ErrorInfo: the server's time-out, whose error has none, is later.
    let purchase = call.await.unwrap();
    assert_refused(purchase, Code::Unavailable, "OUTCOME_UNREADABLE", "maybe");

    let deadline = Duration::from_secs(1);
    let mut replay = Request::new(order(&known, PLAIN));
    replay.set_timeout(deadline);
    let replayed = client.purchase_prepaid(replay).await;
    assert_refused(
        replayed,
        Code::DeadlineExceeded,
        "DEADLINE_TOO_SHORT",
        "maybe",
    );
    let mut check = Request::new(CheckTransactionRequest {
        reference_code: known.clone(),
        ..CheckTransactionRequest::default()
    });
    check.set_timeout(deadline);
    let checked = client.check_transaction(check).await;
    assert_refused(
        checked,
        Code::DeadlineExceeded,
        "DEADLINE_TOO_SHORT",
        "maybe",
    );
    let mut list = Request::new(ListTransactionsRequest::default());
    list.set_timeout(deadline);
    let listed = client.list_transactions(list).await;
    assert_eq!(error_info(&listed.unwrap_err()).0, "DEADLINE_TOO_SHORT");
    let url = format!("http://{}", gateway.grpc);
    let mut notices = NoticeServiceClient::connect(url).await.unwrap();
    let mut orphans = Request::new(ListOrphanCallbacksRequest::default());
    orphans.set_timeout(deadline);
    let orphans = notices.list_orphan_callbacks(orphans).await;
    assert_eq!(error_info(&orphans.unwrap_err()).0, "DEADLINE_TOO_SHORT");
    let mut texts = Request::new(ListNoticesRequest::default());
    texts.set_timeout(deadline);
    let texts = notices.list_notices(texts).await;
    assert_eq!(error_info(&texts.unwrap_err()).0, "DEADLINE_TOO_SHORT");
    world.redis.as_ref().unwrap().thaw();
}

#[tokio::test]
async fn full_queue_reports_no_only_for_unsent_reference_code() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("limits.queue", "1")
        .set("limits.sending", "1")
        .set("store.timeout", "1s")
        .check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let known = reference();
    buy(&mut client, &known, PLAIN).await;
    let busy = reference();
    let mut request = Request::new(order(&busy, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_millis(500));
    client.purchase_prepaid(request).await.unwrap();

    let unknown = client.purchase_prepaid(order(&reference(), PLAIN)).await;
    assert_refused(unknown, Code::ResourceExhausted, "OVERLOADED", "no");
    let replay = client.purchase_prepaid(order(&known, PLAIN)).await;
    assert!(replay.unwrap().into_inner().replayed);
    world.redis.as_mut().unwrap().kill().await;
    let unread = client.purchase_prepaid(order(&known, PLAIN)).await;
    assert_refused(unread, Code::ResourceExhausted, "OVERLOADED", "maybe");
}
