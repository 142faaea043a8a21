//! One payment of a bill at a time: open payments, and inquiries from before a payment.

use std::time::Duration;

use okebayar_gateway::grpc::v1::TransactionState;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    bills::{
        ANNA, assert_open, key, list_without_record, pay_beside, world_with_repeatable_payments,
    },
    calls::FORMATS,
    on_both_stores,
    payments::{SandboxProxy, resolve_failed},
    process::{PATIENCE, Process},
    world::{
        BINARY, PENDING_FOR_EVER, PENDING_THEN_FAILURE, RESET_AND_CALLBACK_LOST, StoreKind, WATER,
        assert_refused, get, minted, pay, question, reference,
    },
};

async fn payment_is_rejected_while_another_payment_of_bill_is_open(kind: StoreKind) {
    for format in FORMATS {
        let mut world = world_with_repeatable_payments(kind, format).await;
        world.check_rarely();
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        // Pending by its answer, and open without an answer.
        for customer in [PENDING_FOR_EVER, RESET_AND_CALLBACK_LOST] {
            let (first, second) = (reference(), reference());
            let inquiry = gateway.bill(WATER, customer).await;
            let open = pay(&mut client, &first, &inquiry).await.unwrap();
            assert!(matches!(
                open.state(),
                TransactionState::Pending | TransactionState::Confirming
            ));
            let again = gateway.bill(WATER, customer).await;
            assert_ne!(again.inquiry_code, inquiry.inquiry_code);
            let around = (&world, &mut client);
            let refused = pay(around.1, &second, &again).await;
            assert_open(around, refused, &second, &first).await;
            // The caller acknowledges another payment.
            let around = (&world, &mut client);
            let refused = pay_beside(around.1, &second, &again, &[&reference()]).await;
            assert_open(around, refused, &second, &first).await;
            // The same customer by another product of the biller.
            let other = gateway.bill("HPLNPASCA", customer).await;
            let around = (&world, &mut client);
            let refused = pay(around.1, &second, &other).await;
            assert_open(around, refused, &second, &first).await;
            // Acknowledging the payment does not release an inquiry bound to another reference
            // code.
            let third = reference();
            let known = first.to_ascii_uppercase().replace('-', "");
            let beside = pay_beside(&mut client, &third, &again, &[&known]).await;
            let used = "INQUIRY_ALREADY_USED";
            assert_refused(beside, Code::FailedPrecondition, used, "no");
            let beside = pay_beside(&mut client, &second, &again, &[&known]).await;
            assert!(beside.is_ok(), "{beside:?}");
            assert_eq!(world.ledger(&second).await.received, 1);
        }
    }
}

async fn payment_is_accepted_after_open_payment_failed(kind: StoreKind) {
    let mut world = world_with_repeatable_payments(kind, "json").await;
    world.set("checks.give_up_after", "3s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // OKEBAYAR reports the failure.
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_THEN_FAILURE).await;
    let again = gateway.bill(WATER, PENDING_THEN_FAILURE).await;
    pay(&mut client, &first, &inquiry).await.unwrap();
    let around = (&world, &mut client);
    let refused = pay(around.1, &second, &again).await;
    assert_open(around, refused, &second, &first).await;
    assert_eq!(
        gateway.until_final(&first).await.state(),
        TransactionState::Failed
    );
    let paid = pay(&mut client, &second, &again).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Pending);

    // An operator resolves it as failed.
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    pay(&mut client, &first, &inquiry).await.unwrap();
    let review = gateway
        .until(&first, |one| one.state() == TransactionState::NeedsReview)
        .await;
    let around = (&world, &mut client);
    let refused = pay(around.1, &second, &again).await;
    assert_open(around, refused, &second, &first).await;
    resolve_failed(&mut client, &first, review.revision).await;
    pay(&mut client, &second, &again).await.unwrap();
    assert_eq!(world.ledger(&second).await.received, 1);
}

async fn inquiry_made_before_payment_is_outdated(kind: StoreKind) {
    for format in FORMATS {
        let world = world_with_repeatable_payments(kind, format).await;
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let inquiry = gateway.bill(WATER, ANNA).await;
        let before = gateway.bill(WATER, ANNA).await;
        let (first, second) = (reference(), reference());
        let paid = pay(&mut client, &first, &inquiry).await.unwrap();
        assert_eq!(paid.state(), TransactionState::Succeeded);
        // Acknowledging the other payment does not help: it is not open.
        let refused = pay_beside(&mut client, &second, &before, &[&first]).await;
        let reason = "INQUIRY_OUTDATED";
        let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
        assert!(status.message().contains(&first), "{status}");
        assert_eq!(world.ledger(&second).await.received, 0);
        assert!(world.paid_twice().await.is_empty());
        // The customer's next bill, after the permitted clock skew.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = gateway.bill(WATER, ANNA).await;
        let paid = pay(&mut client, &reference(), &next).await.unwrap();
        assert_eq!(paid.state(), TransactionState::Succeeded);
        assert!(world.paid_twice().await.is_empty());
    }
}

/// A proxy before the sandbox that delays answers until released.
struct DelayingProxy {
    port: u16,
    open: tokio::sync::watch::Sender<bool>,
}

impl DelayingProxy {
    async fn to(sandbox_port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, is_open) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut is_open = is_open.clone();
                connections.spawn(async move {
                    let far = tokio::net::TcpStream::connect(("127.0.0.1", sandbox_port));
                    let (mut far_read, mut far_write) = far.await.unwrap().into_split();
                    let (mut near_read, mut near_write) = near.into_split();
                    let asked = tokio::io::copy(&mut near_read, &mut far_write);
                    let answered = async {
                        is_open.wait_for(|open| *open).await.unwrap();
                        tokio::io::copy(&mut far_read, &mut near_write).await
                    };
                    let _ = tokio::join!(asked, answered);
                });
            }
        });
        Self { port, open }
    }
}

/// The answer to an inquiry may arrive long after the time that it describes.
#[tokio::test]
async fn inquiry_age_counts_from_request_not_from_answer() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let direct = world.start_replica().await;
    let held = DelayingProxy::to(world.sandbox_port).await;
    let url = format!("http://127.0.0.1:{}/", held.port);
    let slow = world.set("accounts.main.url", &url).start_replica().await;
    let held_code = json!({ "owed_until_told": true, "inquirycode": "HELD" });
    world.bill_as(ANNA, held_code).await;
    let mut inquirer = slow.inquirer().await;
    let inquiry = tokio::spawn(async move {
        let found = inquirer.inquire_postpaid(question(WATER, ANNA)).await;
        found.unwrap().into_inner().inquiry.unwrap()
    });
    let answered = async {
        let url = format!("http://127.0.0.1:{}/inquiry/HELD", world.sandbox_port);
        while reqwest::get(&url).await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    world
        .bill_as(ANNA, json!({ "owed_until_told": true }))
        .await;
    let fresh = direct.bill(WATER, ANNA).await;
    let mut client = direct.client().await;
    let paid = pay(&mut client, &reference(), &fresh).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Succeeded);
    // More than the permitted clock skew.
    tokio::time::sleep(Duration::from_millis(200)).await;
    held.open.send_replace(true);
    let inquiry = inquiry.await.unwrap();
    let code = reference();
    let refused = pay(&mut client, &code, &inquiry).await;
    let reason = "INQUIRY_OUTDATED";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    assert_eq!(world.ledger(&code).await.received, 0);
}

const RACES: usize = 30;

/// Two gateways, each with an inquiry of its own for one bill; in every other race the first
/// reference code is unsent and re-armed.
#[tokio::test]
async fn bill_is_paid_once_when_two_gateways_race() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateways = [world.start_replica().await, world.start_replica().await];
    let mut clients = [gateways[0].client().await, gateways[1].client().await];
    let mut decided = 0;
    for race in 0..RACES {
        let customer = format!("88{race:05}");
        let codes = [reference(), reference()];
        let mut inquiries = Vec::new();
        for gateway in &gateways {
            inquiries.push(gateway.bill(WATER, &customer).await);
        }
        if race % 2 == 1 {
            proxy.close().await;
            let unsent = pay(&mut clients[0], &codes[0], &inquiries[0]).await;
            assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
            proxy.open().await;
        }
        let calls = [0, 1, 0, 1].map(|one| {
            let (mut client, code) = (clients[one].clone(), codes[one].clone());
            let inquiry = inquiries[one].clone();
            tokio::spawn(async move { pay(&mut client, &code, &inquiry).await.is_ok() })
        });
        for call in calls {
            let _ = call.await.unwrap();
        }
        let executed = async || {
            let one = world.ledger(&codes[0]).await.executed;
            one + world.ledger(&codes[1]).await.executed
        };
        decided += executed().await;
        // If each yielded to the other, a retry pays the bill.
        for one in [0, 1] {
            let _ = pay(&mut clients[one], &codes[one], &inquiries[one]).await;
        }
        assert_eq!(executed().await, 1, "race {race}");
    }
    assert!(world.paid_twice().await.is_empty());
    // The two must not always yield to each other.
    assert!(decided > RACES as u64 / 2, "{decided} of {RACES}");
}

async fn unsent_payment_is_not_rearmed_while_another_is_open(kind: StoreKind) {
    let mut world = world_with_repeatable_payments(kind, "json").await;
    world.check_rarely();
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    proxy.close().await;
    let unsent = pay(&mut client, &first, &inquiry).await;
    assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    proxy.open().await;
    pay(&mut client, &second, &again).await.unwrap();
    let refused = pay(&mut client, &first, &inquiry).await;
    let reason = "BILL_PAYMENT_OPEN";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let state = get(&mut client, &first).await.unwrap().state();
    assert_eq!(state, TransactionState::NotSent);
    assert_eq!(world.ledger(&first).await.received, 0);
}

#[tokio::test]
async fn listing_without_record_does_not_block_bill() {
    let world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let gateway = world.start_gateway().await;
    list_without_record(&world, ANNA, &reference()).await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let paid = pay(&mut gateway.client().await, &reference(), &inquiry).await;
    assert_eq!(paid.unwrap().state(), TransactionState::Succeeded);
}

#[tokio::test]
async fn listing_without_record_blocks_bill_while_guard_is_on() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    world.set("store.clock_skew", "1ms");
    let gateway = world.start_gateway().await;
    let lost = reference();
    list_without_record(&world, ANNA, &lost).await;
    let arguments = ["guard", "start"];
    let mut guard = Process::start(BINARY, &arguments, &world.environment(), world.path());
    assert!(guard.ended().await.success(), "{}", guard.text());
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = minted(0);
    let refused = pay(&mut client, &code, &inquiry).await;
    let reason = "BILL_PAYMENT_OPEN";
    let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let open = &status.get_details_error_info().unwrap().metadata["other_reference_code"];
    assert_eq!(*open, key(&lost).to_string());
    assert_eq!(world.ledger(&code).await.received, 0);
    let paid = pay_beside(&mut client, &code, &inquiry, &[&lost]).await;
    assert_eq!(paid.unwrap().state(), TransactionState::Succeeded);
}

on_both_stores!(
    payment_is_rejected_while_another_payment_of_bill_is_open,
    payment_is_accepted_after_open_payment_failed,
    inquiry_made_before_payment_is_outdated,
    unsent_payment_is_not_rearmed_while_another_is_open,
);
