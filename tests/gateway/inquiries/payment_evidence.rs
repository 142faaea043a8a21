//! Answers that do not prove a payment: "already paid", and records of an inquiry.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, Transaction, TransactionReason, TransactionState, WaitUntil,
};

use crate::support::{
    calls::FORMATS,
    payments::resolve_failed,
    world::{
        RESET_AND_CALLBACK_LOST, StoreKind, WATER, World, buy, order, pay, payment,
        prepaid_question, reference,
    },
};

#[tokio::test]
async fn already_paid_escalates_to_review_beside_open_payment() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // Two inquiries for one bill; the answer to the first payment is lost.
    let first = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let second = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let (open, contested) = (reference(), reference());
    let lost = pay(&mut client, &open, &first).await.unwrap();
    assert_eq!(lost.state(), TransactionState::Confirming);
    // An operator expects the first payment to fail.
    let mut beside = payment(&contested, &second);
    beside.acknowledged_open_reference_codes = vec![open.clone()];
    let answer = client.pay_postpaid(beside).await.unwrap().into_inner();
    let answer = answer.transaction.unwrap();
    assert_eq!(answer.status_code, "401");
    assert_eq!(
        (answer.state(), answer.reason()),
        (
            TransactionState::NeedsReview,
            TransactionReason::PaidMeanwhile
        )
    );
    assert!(!answer.safe_to_refund && !answer.next_step().allows_purchase() && !answer.terminal);

    // Once the first payment is settled, "already paid" is a plain failure.
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: open.clone(),
    };
    let settled = client
        .check_transaction(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        settled.transaction.unwrap().state(),
        TransactionState::Succeeded
    );
    resolve_failed(&mut client, &contested, answer.revision).await;
    let executed = async |code: &str| world.ledger(code).await.executed;
    assert_eq!((executed(&open).await, executed(&contested).await), (1, 0));
}

#[tokio::test]
async fn already_paid_elsewhere_fails() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, "1111111").await;
    let mut elsewhere = World::without_sandbox(StoreKind::Embedded).await;
    let url = format!("http://127.0.0.1:{}/", world.sandbox_port);
    elsewhere.set("accounts.main.url", &url);
    let other = elsewhere.start_gateway().await;
    let theirs = other.bill(WATER, "1111111").await;
    pay(&mut other.client().await, &reference(), &theirs)
        .await
        .unwrap();
    let late = reference();
    let answer = pay(&mut gateway.client().await, &late, &inquiry)
        .await
        .unwrap();
    assert_eq!(
        (answer.state(), answer.reason()),
        (
            TransactionState::Failed,
            TransactionReason::BillPaidOrInvalid
        )
    );
    assert_eq!(answer.status_code, "401");
    assert!(answer.safe_to_refund);
    assert_eq!(world.ledger(&late).await.executed, 0);
}

#[tokio::test]
async fn check_that_finds_inquiry_does_not_settle_purchase() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("checks.give_up_after", "1500ms");
        let gateway = world.start_gateway().await;
        let code = reference();
        // The purchase never reaches OKEBAYAR; a check then finds the inquiry's 000.
        let unheard = "080000000014";
        let question = prepaid_question(&code, "PULSA10", unheard);
        let inquiry = gateway.inquirer().await.inquire_prepaid(question).await;
        let inquiry = inquiry.unwrap().into_inner().inquiry.unwrap();
        let mut request = order(&code, unheard);
        request.inquiry_code = inquiry.inquiry_code;
        request.set_wait_until(WaitUntil::Terminal);
        let answer = gateway.client().await.purchase_prepaid(request).await;
        let ended = answer.unwrap().into_inner().transaction.unwrap();
        assert_eq!(
            (ended.state(), ended.reason()),
            (
                TransactionState::NeedsReview,
                TransactionReason::ChecksExhausted
            ),
            "{format}"
        );
        let ledger = world.ledger(&code).await;
        assert!(ledger.checks >= 2 && ledger.executed == 0, "{ledger:?}");
    }
}

/// OKEBAYAR processes the POST as an inquiry, and checks find that inquiry.
#[tokio::test]
async fn post_answered_as_inquiry_does_not_succeed() {
    const LIKE_INQUIRY: &str = "080000000026";
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("checks.give_up_after", "1500ms");
        let gateway = world.start_gateway().await;
        let bill = gateway.bill(WATER, LIKE_INQUIRY).await;
        let found = r#"{"transactionstatus":"000","serialnumber":"","harga":""}"#;
        world.misprint(LIKE_INQUIRY, found).await;
        let (bought, paid) = (reference(), reference());
        let mut client = gateway.client().await;
        let ended = buy(&mut client, &bought, LIKE_INQUIRY).await;
        assert_eq!(
            ended.trace_code, "",
            "the trace code of the inquiry must not be kept"
        );
        pay(&mut client, &paid, &bill).await.unwrap();
        for code in [bought, paid] {
            let is_review = |seen: &Transaction| seen.state() == TransactionState::NeedsReview;
            let ended = gateway.until(&code, is_review).await;
            assert_eq!(
                ended.reason(),
                TransactionReason::ChecksExhausted,
                "{format}"
            );
            assert!(world.ledger(&code).await.checks >= 2);
        }
    }
}
