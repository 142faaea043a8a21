//! Promise 14: SIGTERM stops accepting calls and finishes those in progress.

use okebayar_gateway::grpc::v1::{
    ListNoticesRequest, TransactionState, notice_service_client::NoticeServiceClient,
};

use crate::support::{
    metrics::{admin, purchase_is_cancelled},
    on_both_stores,
    world::{
        ANSWER_AND_CALLBACK_LOST, PLAIN, SLOW, StoreKind, World, assert_succeeded, bought, get,
        order, reference, start_purchase,
    },
};

/// Starts a sandbox that answers a slow purchase after three seconds.
async fn start_slow_sandbox(world: &mut World) {
    world.start_slow_sandbox("3s").await;
}

async fn shutdown_waits_for_answer_of_started_post(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    start_slow_sandbox(&mut world).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let mut late = client.clone();
    let call = start_purchase(client, order(&code, SLOW));
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    gateway.process.signal("-TERM");
    // New connections are refused while the first call is awaited.
    let stopping = |line: &str| line.contains("\"stopping\"").then_some(());
    gateway.process.line(stopping).await;
    let refused = reference();
    let answer = late.purchase_prepaid(order(&refused, PLAIN)).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(world.ledger(&refused).await.received, 0);
    assert_succeeded(&bought(call.await.unwrap().unwrap().into_inner()));
    assert!(
        gateway.process.ended().await.success(),
        "{}",
        gateway.process.text()
    );
}

async fn shutdown_stores_unknown_outcome_of_unanswered_post(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.set("accounts.main.timeout", "1s").check_rarely();
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let call = start_purchase(client, order(&code, ANSWER_AND_CALLBACK_LOST));
    world.ledger_when(&code, "received=1").await;
    gateway.process.signal("-TERM");
    let transaction = bought(call.await.unwrap().unwrap().into_inner());
    assert_eq!(transaction.state(), TransactionState::Confirming);
    assert!(
        gateway.process.ended().await.success(),
        "{}",
        gateway.process.text()
    );

    world.set("checks.unknown_first", "50ms");
    // The stored schedule applies: a callback triggers the check.
    let gateway = world.start_gateway().await;
    let report = format!("{}?referencecode={code}&status=000", world.callback_url());
    assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    assert_succeeded(&gateway.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn shutdown_waits_for_post_of_disconnected_caller(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.check_rarely();
    start_slow_sandbox(&mut world).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let call = start_purchase(client, order(&code, SLOW));
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    call.abort();
    // No handler remains for the shutdown to await, only the POST itself.
    purchase_is_cancelled(&gateway).await;
    gateway.process.signal("-TERM");
    assert!(
        gateway.process.ended().await.success(),
        "{}",
        gateway.process.text()
    );

    let gateway = world.start_gateway().await;
    let stored = get(&mut gateway.client().await, &code).await.unwrap();
    assert_succeeded(&stored);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    assert_eq!(
        ledger.checks, 0,
        "a check was made although the answer settles the purchase"
    );
}

async fn admin_port_answers_until_drain_ends(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    start_slow_sandbox(&mut world).await;
    // The answer arrives during the shutdown and carries a notice.
    let fields = r#"{"info": "Maintenance tonight"}"#;
    world.misprint(SLOW, fields).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let call = start_purchase(client, order(&code, SLOW));
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    // A silent probe does not delay the end.
    let idle = tokio::net::TcpStream::connect(gateway.admin).await.unwrap();
    gateway.process.signal("-TERM");
    let stopping = |line: &str| line.contains("\"stopping\"").then_some(());
    gateway.process.line(stopping).await;

    assert_eq!(gateway.readiness(503).await, "gateway: it is stopping\n");
    assert_eq!(admin(&gateway, "/healthz").await, (200, "alive\n".into()));
    let (status, metrics) = admin(&gateway, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("okebayar_build_info"), "{metrics}");
    assert!(!call.is_finished(), "the POST ended before the probe");
    assert_succeeded(&bought(call.await.unwrap().unwrap().into_inner()));
    assert!(gateway.process.ended().await.success());
    drop(idle);
    let response = reqwest::get(format!("http://{}/healthz", gateway.admin)).await;
    assert!(
        response.is_err(),
        "the gateway still answers after the drain"
    );

    let gateway = world.start_gateway().await;
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let listed = client.list_notices(ListNoticesRequest::default()).await;
    let notices = listed.unwrap().into_inner().notices;
    assert_eq!(
        notices.len(),
        1,
        "the notice of the last answer must be kept"
    );
}

on_both_stores!(
    admin_port_answers_until_drain_ends,
    shutdown_waits_for_post_of_disconnected_caller,
    shutdown_waits_for_answer_of_started_post,
    shutdown_stores_unknown_outcome_of_unanswered_post,
);
