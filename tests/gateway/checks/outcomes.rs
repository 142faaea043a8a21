//! Promises 4 and 11: how every kind of answer settles, and on what evidence.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use okebayar_gateway::{
    grpc::v1::{
        CheckTransactionRequest, Transaction, TransactionReason, TransactionState, WaitUntil,
    },
    okebayar::format::Format,
};
use tokio::io::AsyncReadExt;

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    scripted_okebayar::{Script, Shape, serve},
    world::{
        CALLBACK_LOST, Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_FAILURE,
        PENDING_THEN_SUCCESS, PLAIN, RESET_AND_CALLBACK_LOST, SERIAL_NUMBER_LATER, StoreKind,
        World, bought, buy, order, reference,
    },
};

/// (account number, state, reason, status code, executed)
const SETTLED: [(&str, TransactionState, TransactionReason, &str, u64); 22] = [
    (
        SERIAL_NUMBER_LATER,
        TransactionState::Succeeded,
        TransactionReason::Unspecified,
        "000",
        1,
    ),
    (
        PENDING_THEN_SUCCESS,
        TransactionState::Succeeded,
        TransactionReason::Unspecified,
        "000",
        1,
    ),
    (
        PENDING_THEN_FAILURE,
        TransactionState::Failed,
        TransactionReason::ProductUnavailable,
        "200",
        0,
    ),
    (
        CALLBACK_LOST,
        TransactionState::Succeeded,
        TransactionReason::Unspecified,
        "000",
        1,
    ),
    (
        RESET_AND_CALLBACK_LOST,
        TransactionState::Succeeded,
        TransactionReason::Unspecified,
        "000",
        1,
    ),
    (
        "080000009200",
        TransactionState::Failed,
        TransactionReason::ProductUnavailable,
        "200",
        0,
    ),
    (
        "080000009201",
        TransactionState::Failed,
        TransactionReason::BillerTrouble,
        "201",
        0,
    ),
    (
        "080000009202",
        TransactionState::Failed,
        TransactionReason::ServerTrouble,
        "202",
        0,
    ),
    (
        "080000009203",
        TransactionState::Failed,
        TransactionReason::DepositExhausted,
        "203",
        0,
    ),
    (
        "080000009204",
        TransactionState::Failed,
        TransactionReason::WrongAccountNumber,
        "204",
        0,
    ),
    (
        "080000009205",
        TransactionState::Failed,
        TransactionReason::WrongProductCode,
        "205",
        0,
    ),
    (
        "080000009206",
        TransactionState::Failed,
        TransactionReason::BadFormat,
        "206",
        0,
    ),
    (
        "080000009207",
        TransactionState::Failed,
        TransactionReason::GatewayCredentials,
        "207",
        0,
    ),
    (
        "080000009210",
        TransactionState::Failed,
        TransactionReason::CrossRegion,
        "210",
        0,
    ),
    (
        "080000009214",
        TransactionState::Failed,
        TransactionReason::RequestExpired,
        "214",
        0,
    ),
    (
        "080000009215",
        TransactionState::Failed,
        TransactionReason::AccountCannotReceive,
        "215",
        0,
    ),
    (
        "080000009232",
        TransactionState::Failed,
        TransactionReason::ProductAccountMismatch,
        "232",
        0,
    ),
    (
        "080000009234",
        TransactionState::Failed,
        TransactionReason::Cancelled,
        "234",
        0,
    ),
    (
        "080000009240",
        TransactionState::Failed,
        TransactionReason::Unidentified,
        "240",
        0,
    ),
    (
        "080000009299",
        TransactionState::Failed,
        TransactionReason::Unidentified,
        "299",
        0,
    ),
    (
        "080000009404",
        TransactionState::Failed,
        TransactionReason::WrongCustomerData,
        "404",
        0,
    ),
    (
        "080000009500",
        TransactionState::Failed,
        TransactionReason::AccountBlacklisted,
        "500",
        0,
    ),
];

async fn every_answer_settles_on_documented_evidence(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    for (account_number, state, reason, status_code, executed) in SETTLED {
        let code = reference();
        let mut request = order(&code, account_number);
        request.set_wait_until(WaitUntil::Terminal);
        let mut client = gateway.client().await;
        let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
        let outcome = (
            transaction.state(),
            transaction.reason(),
            transaction.status_code.as_str(),
        );
        assert_eq!(outcome, (state, reason, status_code), "{account_number}");
        let failed = state == TransactionState::Failed;
        let flags = (transaction.terminal, transaction.safe_to_refund);
        assert_eq!(flags, (true, failed), "{account_number}");
        assert_eq!(
            transaction.serial_number.is_empty(),
            failed,
            "{account_number}"
        );
        let ledger = world.ledger(&code).await;
        assert_eq!(
            (ledger.received, ledger.executed),
            (1, executed),
            "{account_number}"
        );
    }
}

/// Requests a check and returns the transaction once OKEBAYAR was asked.
async fn check(client: &mut Client, code: &str) -> Transaction {
    let request = CheckTransactionRequest {
        reference_code: code.to_owned(),
        ..CheckTransactionRequest::default()
    };
    let answer = client.check_transaction(request).await.unwrap();
    let answer = answer.into_inner();
    assert!(answer.checked, "{answer:#?}");
    answer.transaction.unwrap()
}

fn assert_doubtful(transaction: &Transaction) {
    assert_eq!(
        transaction.state(),
        TransactionState::Confirming,
        "{transaction:#?}"
    );
    assert_eq!(transaction.reason(), TransactionReason::ServerTrouble);
    assert!(
        !transaction.terminal
            && !transaction.safe_to_refund
            && !transaction.next_step().allows_purchase()
    );
}

const DOUBTFUL: &str = "080000009202";

#[tokio::test]
async fn doubtful_failure_requires_two_agreeing_checks() {
    let mut world = World::new(StoreKind::Embedded).await;
    // Only requested checks are made.
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_doubtful(&buy(&mut client, &code, DOUBTFUL).await);
    assert_eq!(world.ledger(&code).await.checks, 0);
    // The answer and one check do not count as two checks.
    assert_doubtful(&check(&mut client, &code).await);
    assert_eq!(world.ledger(&code).await.checks, 1);
    let failed = loop {
        let transaction = check(&mut client, &code).await;
        if transaction.terminal {
            break transaction;
        }
        // The second check follows the first too soon.
        assert_doubtful(&transaction);
    };
    assert_eq!(failed.state(), TransactionState::Failed, "{failed:#?}");
    assert_eq!(failed.reason(), TransactionReason::ServerTrouble);
    assert!(failed.safe_to_refund && failed.next_step().allows_purchase());
    let ledger = world.ledger(&code).await;
    assert!(ledger.checks >= 2, "{ledger:?}");
    assert_eq!((ledger.received, ledger.executed), (1, 0));
}

#[tokio::test]
async fn doubtful_checks_in_quick_succession_settle_nothing() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely().set("checks.doubtful_gap", "1h");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_doubtful(&buy(&mut client, &code, DOUBTFUL).await);
    for checks in 1..=3 {
        assert_doubtful(&check(&mut client, &code).await);
        assert_eq!(world.ledger(&code).await.checks, checks);
    }
}

#[tokio::test]
async fn inconclusive_code_escalates_to_review() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.give_up_after", "500ms");
    let gateway = world.start_gateway().await;
    for code_number in ["208", "510", "241", "261"] {
        let code = reference();
        let mut request = order(&code, &format!("080000009{code_number}"));
        request.set_wait_until(WaitUntil::Terminal);
        let mut client = gateway.client().await;
        let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
        assert_needs_review(&transaction);
        assert_eq!(world.ledger(&code).await.received, 1, "{code_number}");
    }
}

fn assert_needs_review(transaction: &Transaction) {
    assert_eq!(
        transaction.state(),
        TransactionState::NeedsReview,
        "{transaction:#?}"
    );
    assert_eq!(transaction.reason(), TransactionReason::ChecksExhausted);
    assert!(
        !transaction.terminal
            && !transaction.safe_to_refund
            && !transaction.next_step().allows_purchase()
    );
}

/// Breaks the connection of a purchase, then starts a sandbox that does not know the reference code
/// and answers checks with 400.
async fn buy_unheard(world: &mut World, gateway: &Gateway) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", world.sandbox_port))
        .await
        .unwrap();
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Part of the request must have arrived, or the attempt counts as not sent.
        stream.read_u8().await.unwrap();
    });
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_eq!(transaction.state(), TransactionState::Confirming);
    assert_eq!(transaction.reason(), TransactionReason::NoAnswer);
    breaking.await.unwrap();
    world.start_sandbox().await;
    code
}

#[tokio::test]
async fn check_code_that_may_mean_not_found_settles_nothing() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("checks.give_up_after", "1s")
        .set("checks.not_received_after", "100ms");
    let gateway = world.start_gateway().await;
    let code = buy_unheard(&mut world, &gateway).await;
    // Any of the codes.
    for not_found in ["204", "500", "000"] {
        world.ledger_when(&code, "checks=1").await;
        world.not_found_code(not_found).await;
    }
    let transaction = gateway
        .until(&code, |transaction| {
            transaction.state() == TransactionState::NeedsReview
        })
        .await;
    assert_needs_review(&transaction);
    assert!(world.ledger(&code).await.checks >= 1);
}

/// OKEBAYAR reformats the number and later reports "never received", although it received the
/// purchase.
#[tokio::test]
async fn never_received_after_answer_about_other_number_escalates_to_review() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "500ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    let printed = r#"{"accnumber": "6281234567890", "tracecode": null}"#;
    world.misprint(PLAIN, printed).await;
    let bought = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_eq!(bought.reason(), TransactionReason::UnclearAnswer);
    world.sandbox.take().unwrap().kill().await;
    world.start_sandbox().await;
    let settled = until_settled(&gateway, &code).await;
    assert_eq!(
        settled.reason(),
        TransactionReason::Contradicted,
        "{settled:#?}"
    );
    assert!(!settled.safe_to_refund && !settled.next_step().allows_purchase());
}

#[tokio::test]
async fn configured_code_settles_as_never_received() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "500ms");
    let gateway = world.start_gateway().await;
    let code = buy_unheard(&mut world, &gateway).await;
    let transaction = gateway.until_final(&code).await;
    assert_eq!(transaction.state(), TransactionState::Failed);
    assert_eq!(transaction.reason(), TransactionReason::NotReceived);
    assert!(transaction.safe_to_refund);
}

/// Requests checks until the transaction settles; returns its state and whether it is contradicted.
async fn until_settled(gateway: &Gateway, code: &str) -> Transaction {
    let settling = async {
        loop {
            let checked = checked_at(gateway, code).await;
            if ![TransactionState::Pending, TransactionState::Confirming].contains(&checked.state())
            {
                return checked;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settling).await.unwrap()
}

async fn checked_at(gateway: &Gateway, code: &str) -> Transaction {
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: code.to_owned(),
    };
    let mut client = gateway.client().await;
    let checked = client.check_transaction(request).await.unwrap();
    checked.into_inner().transaction.unwrap()
}

async fn never_received_after_receipt_escalates_to_review(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .check_rarely()
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "500ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // Pending, and three answers that carry a trace code and settle nothing.
    let answered = [
        PENDING_FOR_EVER,
        "080000009202",
        "080000009208",
        "080000009510",
    ];
    let mut codes = Vec::new();
    for account_number in answered {
        let code = reference();
        let bought = buy(&mut client, &code, account_number).await;
        assert!(
            [TransactionState::Pending, TransactionState::Confirming].contains(&bought.state())
        );
        codes.push(code);
    }
    // An OKEBAYAR that does not know them.
    world.sandbox.take().unwrap().kill().await;
    world.start_sandbox().await;
    for (code, account_number) in codes.iter().zip(answered) {
        let settled = until_settled(&gateway, code).await;
        assert_eq!(
            settled.state(),
            TransactionState::NeedsReview,
            "{account_number}"
        );
        assert_eq!(
            settled.reason(),
            TransactionReason::Contradicted,
            "{account_number}"
        );
        assert!(!settled.safe_to_refund && !settled.next_step().allows_purchase());
    }
}

#[tokio::test]
async fn pending_check_restarts_doubtful_run() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.check_rarely();
    let script = Arc::new(Mutex::new(Script {
        code: 202,
        prepare: Some("order"),
        shape: Shape::Full,
    }));
    let format = Format::parse("json").unwrap();
    serve(world.sandbox_port, format, Arc::clone(&script)).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let answer = |code| script.lock().unwrap().code = code;
    // The rule uses elapsed time: more than the gap plus the clock skew.
    let gap = || tokio::time::sleep(Duration::from_millis(500));
    let pending = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    let first = checked_at(&gateway, &code).await;
    assert_eq!(first.state(), TransactionState::Confirming);
    answer(2);
    assert_eq!(
        checked_at(&gateway, &code).await.state(),
        TransactionState::Confirming
    );
    answer(202);
    gap().await;
    let across = checked_at(&gateway, &code).await;
    assert_eq!(across.state(), TransactionState::Confirming, "{across:#?}");
    assert!(!across.safe_to_refund && !across.next_step().allows_purchase());
    gap().await;
    let agreed = checked_at(&gateway, &code).await;
    assert_eq!(agreed.state(), TransactionState::Failed, "{agreed:#?}");
}

#[tokio::test]
async fn pending_purchase_escalates_to_review_after_last_check() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.give_up_after", "700ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    assert_eq!(transaction.state(), TransactionState::Pending);
    let transaction = gateway
        .until(&code, |transaction| {
            transaction.state() == TransactionState::NeedsReview
        })
        .await;
    assert_eq!(transaction.reason(), TransactionReason::ChecksExhausted);
    let ledger = world.ledger(&code).await;
    assert!(ledger.checks >= 2, "{ledger:?}");
    assert_eq!(ledger.received, 1);
}

on_both_stores!(
    every_answer_settles_on_documented_evidence,
    never_received_after_receipt_escalates_to_review,
);
