//! Promise 7: a callback is a hint, which a check confirms.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, Evidence, EvidenceSource, TransactionState,
};

use crate::support::{
    callbacks::post,
    on_both_stores,
    world::{
        PENDING_FOR_EVER, PENDING_THEN_FAILURE, PENDING_THEN_SUCCESS, SERIAL_NUMBER_LATER, SLOW,
        StoreKind, World, assert_succeeded, bought, buy, get, order, reference, start_purchase,
    },
};

async fn forged_callback_changes_timeline_but_not_state(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, PENDING_FOR_EVER).await;
    assert_eq!(before.state(), TransactionState::Pending);

    let by_get = format!(
        "{}?tracecode=forged&referencecode={code}&status=000&serialnumber=1234",
        world.callback_url()
    );
    assert_eq!(reqwest::get(&by_get).await.unwrap().status(), 200);
    let body = format!(
        r#"{{"tracecode":"forged2","referencecode":"{code}","status":"000","serialnumber":"1234"}}"#
    );
    assert_eq!(post(&world.callback_url(), body).await, 200);
    // Each callback led to a check, which OKEBAYAR answered as pending.
    assert!(world.ledger_when(&code, "checks=1").await.checks >= 1);
    let after = gateway
        .until(&code, |transaction| {
            transaction
                .timeline
                .iter()
                .any(|entry| entry.source() == EvidenceSource::Check)
        })
        .await;
    assert_eq!(after.state(), TransactionState::Pending);
    assert!(!after.terminal && after.serial_number.is_empty() && after.price.is_none());
    assert_eq!(after.trace_code, before.trace_code);
    assert_eq!(after.reported_status_code, "000");
    let reports: Vec<_> = after
        .timeline
        .iter()
        .filter(|entry| entry.source() == EvidenceSource::Callback)
        .collect();
    assert_eq!(reports.len(), 2);
    assert!(
        reports
            .iter()
            .all(|entry| !entry.believed && entry.status_code == "000")
    );

    // A repeated callback raises a count and adds no entry.
    assert_eq!(reqwest::get(&by_get).await.unwrap().status(), 200);
    let again = get(&mut client, &code).await.unwrap();
    assert_eq!(again.revision, after.revision);
    assert_eq!(again.timeline.len(), after.timeline.len());
}

async fn callback_settles_after_confirming_check(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let cases = [
        (PENDING_THEN_SUCCESS, TransactionState::Succeeded),
        (PENDING_THEN_FAILURE, TransactionState::Failed),
        (SERIAL_NUMBER_LATER, TransactionState::Succeeded),
    ];
    for (account_number, state) in cases {
        let code = reference();
        buy(&mut client, &code, account_number).await;
        let transaction = gateway.until_final(&code).await;
        assert_eq!(transaction.state(), state, "{account_number}");
        let sources: Vec<EvidenceSource> =
            transaction.timeline.iter().map(Evidence::source).collect();
        assert!(
            sources.contains(&EvidenceSource::Callback) && sources.contains(&EvidenceSource::Check)
        );
    }
}

/// The answer is late; meanwhile a callback and a caller request a check.
async fn check_waits_until_post_is_answered(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.start_slow_sandbox("8s").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let buying = start_purchase(client.clone(), order(&code, SLOW));
    world.ledger_when(&code, "received=1").await;
    let body = format!(r#"{{"referencecode":"{code}","status":"000"}}"#);
    assert_eq!(post(&world.callback_url(), body).await, 200);
    let reported = get(&mut client, &code).await.unwrap();
    let known = (reported.state(), reported.reported_status_code.as_str());
    assert_eq!(
        known,
        (TransactionState::Sending, "000"),
        "the callback must be stored immediately"
    );
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.clone(),
    };
    let answer = client.check_transaction(request).await.unwrap();
    assert!(!answer.into_inner().checked);
    let still = get(&mut client, &code).await.unwrap();
    assert_eq!(
        still.state(),
        TransactionState::Sending,
        "the POST was answered before the checks were requested"
    );

    assert_succeeded(&bought(buying.await.unwrap().unwrap().into_inner()));
    // The requested check follows the answer.
    let ledger = world.ledger_when(&code, "checks=1").await;
    assert!(ledger.checks >= 1, "{ledger:?}");
    assert_eq!((ledger.received, ledger.checks_in_flight), (1, 0));
}

#[tokio::test]
async fn success_becomes_final_when_serial_number_arrives() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.serial_number", "1h");
    let gateway = world.start_gateway().await;
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, SERIAL_NUMBER_LATER).await;
    assert_eq!(transaction.state(), TransactionState::Succeeded);
    assert!(transaction.serial_number_pending && !transaction.terminal);
    assert!(!transaction.safe_to_refund);
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn missing_serial_number_is_given_up_after_schedule() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.serial_number", "50ms,50ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    // 001 for ever.
    buy(&mut gateway.client().await, &code, "080000009001").await;
    let transaction = gateway.until_final(&code).await;
    assert_eq!(transaction.state(), TransactionState::Succeeded);
    assert!(transaction.serial_number_missing && !transaction.serial_number_pending);
    assert_eq!(world.ledger(&code).await.checks, 2);
}

#[tokio::test]
async fn trusted_callback_settles_without_check() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("accounts.main.callback_trusted", "true")
        .set("callbacks.allow", "127.0.0.1");
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    assert_succeeded(&gateway.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.checks, 0);
}

on_both_stores!(
    forged_callback_changes_timeline_but_not_state,
    callback_settles_after_confirming_check,
    check_waits_until_post_is_answered,
);
