//! `PurchasePrepaid`: the request, its answer, its deadline and its cancellation.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    EvidenceSource, GetTransactionRequest, TransactionState, get_transaction_request::Code,
};
use tonic::{Code as GrpcCode, Request};
use tonic_types::StatusExt;

use crate::support::{
    metrics::purchase_is_cancelled,
    on_both_stores,
    process::CANARY_PIN,
    world::{
        DEPOSIT, Gateway, PLAIN, PRODUCT_PRICE, SLOW, StoreKind, USER_ID, World, assert_refused,
        assert_succeeded, bought, buy, error_info, get, order, reference, start_purchase,
    },
};

async fn purchase_is_answered_and_found_by_both_codes(kind: StoreKind) {
    let world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let signed = format!("{USER_ID}{CANARY_PIN}{code}");
    gateway
        .process
        .add_secret(hex::encode(<md5::Md5 as md5::Digest>::digest(signed)));

    let answer = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.replayed);
    let transaction = bought(answer);
    assert_succeeded(&transaction);
    assert_eq!(transaction.status_code, "000");
    assert_eq!(transaction.status_meaning, "success");
    let price = transaction.price.as_ref().unwrap();
    assert_eq!(
        (price.currency_code.as_str(), price.units, price.nanos),
        ("IDR", PRODUCT_PRICE, 0)
    );
    assert_eq!(
        transaction.balance.as_ref().unwrap().units,
        DEPOSIT - PRODUCT_PRICE
    );
    assert!(transaction.transaction_time.is_some());
    assert_eq!(transaction.timeline.len(), 1);
    assert_eq!(transaction.timeline[0].source(), EvidenceSource::Answer);
    gateway
        .process
        .add_secret(transaction.serial_number.clone());
    gateway.process.add_secret(PLAIN.to_owned());

    assert_eq!(get(&mut client, &code).await.unwrap(), transaction);
    let trace = Some(Code::TraceCode(transaction.trace_code.clone()));
    let request = GetTransactionRequest {
        account: "main".into(),
        code: trace,
    };
    let by_trace = client.get_transaction(request).await.unwrap().into_inner();
    assert_eq!(by_trace.transaction.unwrap(), transaction);

    let again = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(bought(again), transaction);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn trace_log_omits_secrets() {
    for format in ["json", "xml"] {
        let mut world = World::new(StoreKind::Redis).await;
        world.variables.push(("RUST_LOG".into(), "trace".into()));
        world.set("accounts.main.format", format);
        let mut gateway = world.start_gateway().await;
        let code = reference();
        let transaction = buy(&mut gateway.client().await, &code, PLAIN).await;
        let signed = format!("{USER_ID}{CANARY_PIN}{code}");
        gateway
            .process
            .add_secret(hex::encode(<md5::Md5 as md5::Digest>::digest(signed)));
        gateway
            .process
            .add_secret(transaction.serial_number.clone());
        gateway.process.add_secret(PLAIN.to_owned());
        gateway.process.kill().await;
        assert!(gateway.process.text().contains("TRACE"));
    }
}

async fn other_contents_under_used_reference_code_are_rejected(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let first = buy(&mut client, &code, PLAIN).await;

    let mut other_product = order(&code, PLAIN);
    other_product.product_code = "PULSA100".into();
    let other_account = order(&code, "081298765432");
    let other_spelling = order(&code.to_uppercase(), PLAIN);
    for request in [other_product, other_account, other_spelling] {
        let refused = client.purchase_prepaid(request).await;
        assert_refused(
            refused,
            GrpcCode::AlreadyExists,
            "REFERENCE_CODE_REUSED",
            "maybe",
        );
    }
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    assert_eq!(world.ledger(&code.to_uppercase()).await.received, 0);
    assert_eq!(get(&mut client, &code).await.unwrap(), first);
}

#[tokio::test]
async fn purchase_reports_all_violations() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut request = order("short", "");
    request.account = "NOBODY".into();
    request.product_code = "two words".into();
    request.wait_until = 77;
    let status = gateway
        .client()
        .await
        .purchase_prepaid(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::InvalidArgument);
    assert_eq!(error_info(&status).1, "no");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "account",
            "reference_code",
            "product_code",
            "account_number",
            "wait_until"
        ]
    );
}

#[tokio::test]
async fn unknown_reference_code_is_not_found() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let status = get(&mut gateway.client().await, &reference())
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::NotFound);
}

/// Creates a world whose sandbox answers a slow purchase after three seconds; only that answer
/// settles it.
async fn slow_world(kind: StoreKind) -> World {
    let mut world = World::without_sandbox(kind).await;
    world.check_rarely();
    world.start_slow_sandbox("3s").await;
    world
}

async fn assert_settled_by_its_answer(world: &World, gateway: &Gateway, code: &str) {
    assert_succeeded(&gateway.until_final(code).await);
    let ledger = world.ledger(code).await;
    assert_eq!(
        (ledger.received, ledger.checks),
        (1, 0),
        "a check was made although the answer settles the purchase"
    );
}

#[tokio::test]
async fn deadline_returns_known_state_while_purchase_continues() {
    let world = slow_world(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = Request::new(order(&code, SLOW));
    request.set_timeout(Duration::from_secs(1));
    let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(transaction.state(), TransactionState::Sending);
    assert_settled_by_its_answer(&world, &gateway, &code).await;
}

async fn cancelled_call_does_not_stop_purchase(kind: StoreKind) {
    let world = slow_world(kind).await;
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    let code = reference();
    let call = start_purchase(client, order(&code, SLOW));
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    call.abort();
    purchase_is_cancelled(&gateway).await;
    assert_settled_by_its_answer(&world, &gateway, &code).await;
}

on_both_stores!(
    purchase_is_answered_and_found_by_both_codes,
    other_contents_under_used_reference_code_are_rejected,
    cancelled_call_does_not_stop_purchase,
);
