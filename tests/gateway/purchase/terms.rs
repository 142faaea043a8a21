//! The terms of a request besides its guards: `labels`, `validate_only` and `WAIT_UNTIL_STORED`. None
//! is part of the contents that promise 5 compares.

use std::collections::HashMap;

use okebayar_gateway::grpc::v1::{
    ListTransactionsRequest, NextStep, PurchasePrepaidRequest, TransactionState, WaitUntil,
    WatchTransactionRequest,
};
use tonic::Code;

use super::guards::{MINUTE, expiring, priced};
use crate::support::{
    on_both_stores,
    world::{
        PLAIN, SLOW, StoreKind, WATER, World, assert_not_stored, assert_refused, assert_succeeded,
        bought, get, metadata, order, payment, reference, rupiah, try_buy,
    },
};

pub(super) fn labelled(code: &str, labels: &[(&str, &str)]) -> PurchasePrepaidRequest {
    let labels = labels.iter();
    PurchasePrepaidRequest {
        labels: labels
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..order(code, PLAIN)
    }
}

async fn labels_are_returned_and_never_compared_or_sent(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let request = labelled(&code, &[("shop", "CANARY-label"), ("till", "7")]);
    let expected: HashMap<String, String> = request.labels.clone();
    let first = bought(try_buy(&mut client, request).await.unwrap());
    assert_eq!(first.labels, expected);
    let replay = try_buy(&mut client, labelled(&code, &[("shop", "other")])).await;
    let replay = replay.unwrap();
    assert!(replay.replayed);
    assert_eq!(
        bought(replay).labels,
        expected,
        "those of the first call stay"
    );
    assert_eq!(get(&mut client, &code).await.unwrap().labels, expected);
    let watch = WatchTransactionRequest {
        reference_code: code.clone(),
        ..WatchTransactionRequest::default()
    };
    let mut updates = client.watch_transaction(watch).await.unwrap().into_inner();
    let update = updates.message().await.unwrap().unwrap();
    assert_eq!(update.transaction.unwrap().labels, expected);
    let list = ListTransactionsRequest::default();
    let listed = client.list_transactions(list).await.unwrap().into_inner();
    assert_eq!(listed.transactions[0].labels, expected);
    let ledger = world.ledger(&code).await;
    assert_eq!(ledger.received, 1);
    assert!(!ledger.parameters.to_string().contains("CANARY-label"));
    assert!(!gateway.process.text().contains("CANARY-label"));
}

async fn validation_stores_nothing_and_finds_what_a_purchase_would(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.set("accounts.main.unknown_price", "refuse");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let validating = |request: PurchasePrepaidRequest| PurchasePrepaidRequest {
        validate_only: true,
        ..request
    };
    let code = reference();
    let valid = try_buy(&mut client, validating(order(&code, PLAIN)))
        .await
        .unwrap();
    assert_eq!((valid.transaction, valid.replayed), (None, false));
    assert_not_stored(&mut client, &code).await;
    for (request, reason) in [
        (expiring(&code, -MINUTE), "EXPIRED"),
        (priced(&code, 1), "PRICE_UNKNOWN"),
    ] {
        let refused = try_buy(&mut client, validating(request)).await;
        assert_refused(refused, Code::FailedPrecondition, reason, "no");
    }
    let unknown = PurchasePrepaidRequest {
        inquiry_code: "INQ-unknown".into(),
        ..order(&code, PLAIN)
    };
    let refused = try_buy(&mut client, validating(unknown)).await;
    assert_refused(refused, Code::NotFound, "INQUIRY_NOT_FOUND", "no");
    assert_not_stored(&mut client, &code).await;
    assert_eq!(world.ledger(&code).await.received, 0);

    let made = bought(try_buy(&mut client, order(&code, PLAIN)).await.unwrap());
    let replay = try_buy(&mut client, validating(order(&code, PLAIN)))
        .await
        .unwrap();
    assert!(replay.replayed);
    assert_eq!(bought(replay).revision, made.revision);
    let other = validating(order(&code, "081234567899"));
    let refused = try_buy(&mut client, other).await;
    let refused = assert_refused(
        refused,
        Code::AlreadyExists,
        "REFERENCE_CODE_REUSED",
        "maybe",
    );
    assert_eq!(metadata(&refused, "field"), "account_number");
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn validated_payment_leaves_inquiry_and_bill_free(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, "0101").await;
    let (validated, paid) = (reference(), reference());
    let mut request = payment(&validated, &inquiry);
    request.validate_only = true;
    let valid = client.pay_postpaid(request).await.unwrap().into_inner();
    assert_eq!((valid.transaction, valid.replayed), (None, false));
    assert_not_stored(&mut client, &validated).await;
    // Another reference code may still pay: nothing was bound or listed.
    let answer = client.pay_postpaid(payment(&paid, &inquiry)).await.unwrap();
    assert!(answer.into_inner().transaction.unwrap().terminal);
    let mut late = payment(&validated, &inquiry);
    late.validate_only = true;
    let refused = client.pay_postpaid(late).await;
    let reason = "INQUIRY_ALREADY_USED";
    let refused = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    assert_eq!(metadata(&refused, "next_step"), "READ_TRANSACTION");
    assert_eq!(metadata(&refused, "other_reference_code"), paid);
    let mut wrong = payment(&validated, &inquiry);
    (wrong.validate_only, wrong.total) = (true, rupiah(1));
    let refused = client.pay_postpaid(wrong).await;
    let reason = "TOTAL_MISMATCH";
    let refused = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let total = inquiry.total.as_ref().unwrap().units;
    assert_eq!(metadata(&refused, "total"), total.to_string());
    assert_eq!(world.ledger(&validated).await.received, 0);
}

async fn stored_intent_is_returned_before_okebayar_answers(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.start_slow_sandbox("1s").await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = order(&code, SLOW);
    request.set_wait_until(WaitUntil::Stored);
    let stored = bought(try_buy(&mut client, request).await.unwrap());
    assert_eq!(
        (stored.state(), stored.next_step()),
        (TransactionState::Sending, NextStep::Wait)
    );
    let watch = WatchTransactionRequest {
        reference_code: code.clone(),
        after_revision: stored.revision,
        ..WatchTransactionRequest::default()
    };
    let mut updates = client.watch_transaction(watch).await.unwrap().into_inner();
    let mut latest = stored;
    while let Some(update) = updates.message().await.unwrap() {
        latest = update.transaction.unwrap_or(latest);
    }
    assert_succeeded(&latest);
    assert_eq!(world.ledger(&code).await.received, 1);
}

on_both_stores!(
    labels_are_returned_and_never_compared_or_sent,
    validation_stores_nothing_and_finds_what_a_purchase_would,
    validated_payment_leaves_inquiry_and_bill_free,
    stored_intent_is_returned_before_okebayar_answers,
);
