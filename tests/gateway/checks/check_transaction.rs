//! `CheckTransaction`: an immediate check, shared by all concurrent callers.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, CheckTransactionResponse, TransactionState,
};
use tonic::{Code, Request, Status};

use crate::support::{
    on_both_stores,
    world::{
        ANSWER_AND_CALLBACK_LOST, CALLBACK_LOST, Client, PENDING_FOR_EVER, PLAIN, StoreKind, World,
        assert_succeeded, buy, get, order, reference, start_purchase,
    },
};

async fn check(client: &mut Client, code: &str) -> Result<CheckTransactionResponse, Status> {
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.to_owned(),
    };
    Ok(client.check_transaction(request).await?.into_inner())
}

async fn check_settles_transaction_without_callback(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_eq!(
        buy(&mut client, &code, CALLBACK_LOST).await.state(),
        TransactionState::Pending
    );
    // The sandbox settles it within 300 ms; each check waits for the minimum interval.
    loop {
        let answer = check(&mut client, &code).await.unwrap();
        assert!(answer.checked);
        let transaction = answer.transaction.unwrap();
        if transaction.terminal {
            break assert_succeeded(&transaction);
        }
        assert_eq!(transaction.state(), TransactionState::Pending);
    }
    let status = check(&mut client, &reference()).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

async fn concurrent_requests_share_one_check(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .check_rarely()
        .set("checks.callback_interval_min", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    // The first check is immediate; the others follow two seconds later.
    let calls = (0..50).map(|_| {
        let (mut client, code) = (client.clone(), code.clone());
        tokio::spawn(async move { check(&mut client, &code).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().checked);
    }
    let checks = world.ledger(&code).await.checks;
    assert!((1..=2).contains(&checks), "{checks}");
}

#[tokio::test]
async fn uncheckable_transaction_is_returned_unchanged() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let call = start_purchase(client.clone(), order(&code, ANSWER_AND_CALLBACK_LOST));
    world.ledger_when(&code, "received=1").await;
    let answer = check(&mut client, &code).await.unwrap();
    assert!(!answer.checked, "no check overtakes a POST in flight");
    assert_eq!(
        answer.transaction.unwrap().state(),
        TransactionState::Sending
    );
    assert_eq!(world.ledger(&code).await.checks, 0);
    call.abort();
}

#[tokio::test]
async fn check_of_settled_transaction_changes_nothing() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let settled = buy(&mut client, &code, PLAIN).await;
    let answer = check(&mut client, &code).await.unwrap();
    assert!(answer.checked);
    let checked = answer.transaction.unwrap();
    assert_eq!(
        (checked.state(), checked.terminal),
        (TransactionState::Succeeded, true)
    );
    assert_eq!(checked.serial_number, settled.serial_number);
    assert_eq!(checked.trace_code, settled.trace_code);
    assert_eq!(get(&mut client, &code).await.unwrap(), checked);
}

#[tokio::test]
async fn deadline_ends_wait_for_check() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("checks.callback_interval_min", "1h");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    assert!(check(&mut client, &code).await.unwrap().checked);
    let mut request = Request::new(CheckTransactionRequest {
        account: "main".into(),
        reference_code: code.clone(),
    });
    request.set_timeout(std::time::Duration::from_secs(1));
    let answer = client
        .check_transaction(request)
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.checked);
    assert_eq!(
        answer.transaction.unwrap().state(),
        TransactionState::Pending
    );
}

on_both_stores!(
    check_settles_transaction_without_callback,
    concurrent_requests_share_one_check
);
