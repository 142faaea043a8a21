//! Calls and callbacks about a retired reference code.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, ListTransactionsRequest, TransactionResolution, TransactionState,
    WatchTransactionsRequest,
};
use reqwest::StatusCode;
use tonic::Code;

use super::support::{assert_retired, get_by_trace, resolve, restart_ending, retire_as};
use crate::support::{
    callbacks::post,
    metrics::{metrics, sum},
    on_both_stores,
    process::PATIENCE,
    watch,
    world::{
        Gateway, PENDING_THEN_FAILURE, PLAIN, StoreKind, WATER, World, assert_refused, buy, get,
        metadata, order, pay, prepaid_question, reference, rupiah, try_buy,
    },
};

/// Buys until the transaction is final, and returns its trace code.
async fn settle(gateway: &Gateway, code: &str, account_number: &str) -> String {
    let mut client = gateway.client().await;
    buy(&mut client, code, account_number).await;
    gateway.until_final(code).await.trace_code
}

async fn every_call_about_retired_reference_gets_its_final_state(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let (code, failed) = (reference(), reference());
    let trace_code = settle(&gateway, &code, PLAIN).await;
    settle(&gateway, &failed, PENDING_THEN_FAILURE).await;
    let mut client = gateway.client().await;
    let found = get_by_trace(&mut client, &trace_code).await.unwrap();
    assert_eq!(found.reference_code, code);
    let gateway = restart_ending(&mut world, gateway, 2).await;
    let mut client = gateway.client().await;

    let repeated = order(&code, PLAIN);
    assert_retired(try_buy(&mut client, repeated.clone()).await, "SUCCEEDED");
    let mut other = order(&code, "081200000000");
    other.product_code = "PULSA25".into();
    assert_retired(try_buy(&mut client, other).await, "SUCCEEDED");
    let mut validated = repeated.clone();
    validated.validate_only = true;
    assert_retired(try_buy(&mut client, validated).await, "SUCCEEDED");
    // Guards that refuse a new purchase do not hide the final state.
    let mut guarded = repeated.clone();
    guarded.max_price = rupiah(1);
    assert_retired(try_buy(&mut client, guarded).await, "SUCCEEDED");
    let mut expired = repeated;
    expired.expire_time = Some(prost_types::Timestamp::default());
    assert_retired(try_buy(&mut client, expired).await, "SUCCEEDED");
    // In any spelling, and whichever account the caller names.
    let spelt = order(&code.to_uppercase().replace('-', ""), PLAIN);
    assert_retired(try_buy(&mut client, spelt).await, "SUCCEEDED");
    let bill = gateway.bill(WATER, "1111111").await;
    assert_retired(pay(&mut client, &code, &bill).await, "SUCCEEDED");
    assert_retired(try_buy(&mut client, order(&failed, PLAIN)).await, "FAILED");

    assert_retired(get(&mut client, &code).await, "SUCCEEDED");
    let check = CheckTransactionRequest {
        reference_code: code.clone(),
        ..CheckTransactionRequest::default()
    };
    assert_retired(client.check_transaction(check).await, "SUCCEEDED");
    let watched = client.watch_transaction(watch::request(&code, 0)).await;
    assert_retired(watched.map(drop), "SUCCEEDED");
    let resumed = client.watch_transaction(watch::request(&failed, 2)).await;
    assert_retired(resumed.map(drop), "FAILED");
    let resolved = resolve(&mut client, &code, 2, TransactionResolution::Reversed).await;
    assert_retired(resolved, "SUCCEEDED");
    let mut inquirer = gateway.inquirer().await;
    let question = prepaid_question(&code, "PLN20", PLAIN);
    assert_retired(inquirer.inquire_prepaid(question).await, "SUCCEEDED");
    // The index of trace codes ended with the record.
    let lost = get_by_trace(&mut client, &trace_code).await.unwrap_err();
    assert_eq!(lost.code(), Code::NotFound);
    let listed = client.list_transactions(ListTransactionsRequest::default());
    assert!(listed.await.unwrap().into_inner().transactions.is_empty());

    for code in [&code, &failed] {
        let ledger = world.ledger(code).await;
        assert_eq!(
            (ledger.received, ledger.executed.min(1)),
            (1, ledger.executed)
        );
    }
    // That a reference code is retired is no failure of the store.
    let failures = sum(
        &metrics(&gateway).await,
        "okebayar_store_operation",
        "result=\"error\"",
    );
    assert!(failures.abs() < 0.5, "{failures}");
}

async fn callback_about_retired_reference_is_an_orphan(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    settle(&gateway, &code, PLAIN).await;
    let gateway = restart_ending(&mut world, gateway, 1).await;
    let body = format!(
        r#"{{"referencecode":"{code}","transactionstatus":"000","serialnumber":"1","price":"1"}}"#
    );
    assert_eq!(post(&world.callback_url(), body).await, StatusCode::OK);
    let counted = metrics(&gateway).await;
    assert!(
        (sum(&counted, "okebayar_callbacks_total", "orphan") - 1.0).abs() < 0.1,
        "{counted}"
    );
    assert_retired(get(&mut gateway.client().await, &code).await, "SUCCEEDED");
    // It is not checked: the store has lost nothing.
    assert_eq!(world.ledger(&code).await.checks, 0);
}

/// A bill whose earlier payment is retired may be paid again, if the inquiry is newer than that
/// payment: by the day of its last change, which is all that is left of it.
#[tokio::test]
async fn payment_follows_older_retired_payment_of_same_bill() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for (customer, is_older) in [("1111111", true), ("2222222", false)] {
        let (first, second) = (reference(), reference());
        let bill = gateway.bill(WATER, customer).await;
        let again = gateway.bill(WATER, customer).await;
        pay(&mut client, &first, &bill).await.unwrap();
        gateway.until_final(&first).await;
        // Before the retirement the second inquiry is older than the payment.
        let outdated = (Code::FailedPrecondition, "INQUIRY_OUTDATED", "no");
        let refused = pay(&mut client, &second, &again).await;
        assert_refused(refused, outdated.0, outdated.1, outdated.2);
        retire_as(&world, &first, |tombstone| {
            if is_older {
                tombstone.changed_on -= 1;
            }
        })
        .await;
        let paid = pay(&mut client, &second, &again).await;
        let received = world.ledger(&second).await.received;
        if is_older {
            assert_eq!((paid.unwrap().reference_code, received), (second, 1));
        } else {
            let status = assert_refused(paid, outdated.0, outdated.1, outdated.2);
            let named = metadata(&status, "other_reference_code");
            assert_eq!(named, first.replace('-', ""));
            assert_eq!(received, 0);
        }
    }
}

/// The inquiry of a retired payment stays used, unless the payment failed.
async fn binding_to_retired_transaction_keeps_its_meaning(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let (first, second) = (reference(), reference());
    let mut client = gateway.client().await;
    let bill = gateway.bill(WATER, "1111111").await;
    pay(&mut client, &first, &bill).await.unwrap();
    gateway.until_final(&first).await;
    let gateway = restart_ending(&mut world, gateway, 1).await;
    let mut client = gateway.client().await;
    let refused = pay(&mut client, &second, &bill).await;
    let (code, reason) = (Code::FailedPrecondition, "INQUIRY_ALREADY_USED");
    let status = assert_refused(refused, code, reason, "no");
    // Not "inquire again": it paid.
    assert_eq!(metadata(&status, "next_step"), "READ_TRANSACTION");
    assert_eq!(world.ledger(&second).await.received, 0);
}

/// Buys twice, and returns both reference codes and a cursor between the two.
async fn buy_around_cursor(gateway: &Gateway) -> (String, String, WatchTransactionsRequest) {
    let mut client = gateway.client().await;
    let (first, second) = (reference(), reference());
    buy(&mut client, &first, PLAIN).await;
    let head = client.list_transactions(ListTransactionsRequest::default());
    let cursor = head.await.unwrap().into_inner().watch_cursor;
    buy(&mut client, &second, PLAIN).await;
    let request = WatchTransactionsRequest {
        cursor,
        ..WatchTransactionsRequest::default()
    };
    (first, second, request)
}

/// A watcher of everything misses nothing while records end: events end on their own.
async fn watch_of_everything_continues_over_retirement(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let (first, second, request) = buy_around_cursor(&gateway).await;
    let gateway = restart_ending(&mut world, gateway, 2).await;
    let mut client = gateway.client().await;
    let third = reference();
    buy(&mut client, &third, PLAIN).await;
    let updates = client.watch_transactions(request).await;
    let mut updates = updates.unwrap().into_inner();
    let mut seen = Vec::new();
    let seeing = async {
        while seen.len() < 2 {
            let update = updates.message().await.unwrap().unwrap();
            if let Some(transaction) = update.transaction {
                assert_ne!(transaction.reference_code, first, "it is before the cursor");
                if transaction.state() == TransactionState::Succeeded {
                    seen.push(transaction.reference_code);
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, seeing).await.unwrap();
    assert_eq!(seen, [second, third]);
}

on_both_stores!(
    every_call_about_retired_reference_gets_its_final_state,
    callback_about_retired_reference_is_an_orphan,
    binding_to_retired_transaction_keeps_its_meaning,
    watch_of_everything_continues_over_retirement,
);
