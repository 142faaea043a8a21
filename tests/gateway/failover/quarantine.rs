//! Promise 1: a purchase whose record may be lost by a restore is quarantined, not sent again.

use okebayar_gateway::{
    grpc::v1::{PurchasePrepaidRequest, Transaction, TransactionReason, TransactionState},
    transaction::ReferenceCode,
};
use tonic::Code;

use crate::support::{
    failover::{assert_quarantined, back_up, buy_until_sent, check_now, restore, short_skew, stop},
    on_both_stores,
    process::PATIENCE,
    world::{
        Gateway, PENDING_FOR_EVER, PLAIN, StoreKind, WATER, World, assert_refused,
        assert_succeeded, bought, buy, get, minted, order, pay, prepaid_question, reference,
    },
};

const CUSTOMERS: [&str; 3] = ["512345678902", "512345678903", "512345678904"];

async fn purchase_lost_by_restore_is_quarantined_and_found_by_check(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let (kept, forgotten) = (reference(), reference());
    assert_succeeded(&buy(&mut gateway.client().await, &kept, PLAIN).await);
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &forgotten, PLAIN).await);
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let gone = get(&mut client, &forgotten).await;
    assert_refused(gone, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
    let again = client.purchase_prepaid(order(&forgotten, PLAIN)).await;
    let again = again.unwrap().into_inner();
    assert!(!again.replayed);
    assert_quarantined(&bought(again));
    let replay = client.purchase_prepaid(order(&forgotten, PLAIN)).await;
    let replay = replay.unwrap().into_inner();
    assert!(replay.replayed);
    assert_quarantined(&bought(replay));
    let kept = client.purchase_prepaid(order(&kept, PLAIN)).await;
    let kept = kept.unwrap().into_inner();
    assert!(kept.replayed, "a record in the backup must be replayed");
    assert_succeeded(&bought(kept));

    check_now(&gateway, &forgotten).await;
    let found = gateway.until_final(&forgotten).await;
    assert_succeeded(&found);
    let output = &found.timeline[0].description;
    assert!(output.starts_with("attempt 1 was quarantined"), "{output}");
    let ledger = world.ledger(&forgotten).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

async fn quarantined_purchase_is_sent_after_never_received(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world)
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s");
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_quarantined(&buy(&mut client, &code, PLAIN).await);
    let unsent = gateway
        .until(&code, |now| now.state() == TransactionState::NotSent)
        .await;
    assert_eq!(unsent.reason(), TransactionReason::NotReceived);
    assert!(unsent.safe_to_refund && !unsent.terminal);
    assert_eq!(world.ledger(&code).await.received, 0);

    let answer = client.purchase_prepaid(order(&code, PLAIN)).await.unwrap();
    assert_succeeded(&bought(answer.into_inner()));
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

async fn quarantined_purchase_escalates_to_review_without_evidence(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.set("checks.give_up_after", "1s");
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let (code, other) = (reference(), reference());
    // The restored store lacks the inquiry made under the same reference code, and a check finds
    // that inquiry with status 000.
    let inquiry = prepaid_question(&code, "HPLNPRA20", "514444444444");
    let mut inquirer = gateway.inquirer().await;
    inquirer.inquire_prepaid(inquiry).await.unwrap();
    stop(gateway).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut wanted = order(&code, "514444444444");
    "HPLNPRA20".clone_into(&mut wanted.product_code);
    let held = client.purchase_prepaid(wanted).await.unwrap().into_inner();
    assert_quarantined(&bought(held));
    assert_quarantined(&buy(&mut client, &other, PLAIN).await);
    for code in [code, other] {
        let found = gateway
            .until(&code, |now| now.state() == TransactionState::NeedsReview)
            .await;
        assert!(!found.safe_to_refund && !found.next_step().allows_purchase());
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

async fn reference_code_minted_after_loss_is_not_quarantined(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world).check_rarely();
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let before = minted(0);
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    buy_until_sent(&world, &mut client, || minted(0)).await;
    for code in [before, reference(), minted(60_000)] {
        assert_quarantined(&buy(&mut client, &code, PLAIN).await);
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

async fn payment_is_quarantined_when_inquiry_predates_loss(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let old = gateway.bill(WATER, CUSTOMERS[0]).await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let (forgotten, paid) = (gateway.bill(WATER, CUSTOMERS[2]).await, reference());
    let mut client = gateway.client().await;
    pay(&mut client, &paid, &forgotten).await.unwrap();
    stop(gateway).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    buy_until_sent(&world, &mut client, || minted(0)).await;

    // An unknown inquiry does not show that it was never paid.
    let again = pay(&mut client, &paid, &forgotten).await;
    assert_refused(again, Code::FailedPrecondition, "MAY_BE_FORGOTTEN", "maybe");
    assert_eq!(world.ledger(&paid).await.received, 1);
    let code = minted(0);
    let never = pay(&mut client, &code, &forgotten).await;
    assert_refused(never, Code::NotFound, "INQUIRY_NOT_FOUND", "no");
    let never = get(&mut client, &code).await;
    assert_refused(never, Code::NotFound, "TRANSACTION_NOT_FOUND", "no");

    let code = minted(0);
    assert_quarantined(&pay(&mut client, &code, &old).await.unwrap());
    assert_eq!(world.ledger(&code).await.received, 0);
    let young = gateway.bill(WATER, CUSTOMERS[1]).await;
    let code = minted(0);
    let paid = pay(&mut client, &code, &young).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Succeeded, "{paid:#?}");
    assert_eq!(world.ledger(&code).await.executed, 1);
}

async fn restored_not_sent_record_is_quarantined(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    stop(gateway).await;
    back_up(&world).await;
    // The purchase is made after the backup, so the restored store lacks it.
    world.start_sandbox().await;
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let stale = get(&mut client, &code).await.unwrap();
    assert_eq!(stale.state(), TransactionState::NotSent);
    // Wait until new reference codes are no longer quarantined.
    buy_until_sent(&world, &mut client, || minted(0)).await;
    // The stale record does not permit a purchase with other contents either.
    let other = PurchasePrepaidRequest {
        product_code: "PULSA5".to_owned(),
        ..order(&code, PLAIN)
    };
    let other = client.purchase_prepaid(other).await;
    assert_refused(other, Code::AlreadyExists, "REFERENCE_CODE_REUSED", "maybe");
    assert_quarantined(&buy(&mut client, &code, PLAIN).await);
    check_now(&gateway, &code).await;
    assert_succeeded(&gateway.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// Replaces the sandbox by one that knows no transaction.
async fn forget_at_okebayar(world: &mut World) {
    world.sandbox.take().unwrap().kill().await;
    world.start_sandbox().await;
}

/// OKEBAYAR first shows the lost purchase and later reports that it never received it: that does
/// not permit sending.
async fn quarantined_purchase_with_receipt_is_not_sent_after_never_received(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world)
        .check_rarely()
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s");
    let gateway = world.start_gateway().await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_quarantined(&buy(&mut client, &code, PENDING_FOR_EVER).await);
    check_now(&gateway, &code).await;
    let shown = get(&mut client, &code).await.unwrap();
    let output = &shown.timeline.last().unwrap().description;
    assert!(output.contains("knows the reference code"), "{shown:#?}");
    assert_eq!(
        shown.reason(),
        TransactionReason::Quarantined,
        "a receipt must not settle the purchase"
    );
    forget_at_okebayar(&mut world).await;
    let settled = until_checked(&gateway, &code).await;
    assert_eq!(
        settled.state(),
        TransactionState::NeedsReview,
        "{settled:#?}"
    );
    assert!(settled.contradicted && !settled.safe_to_refund);
    let replay = client
        .purchase_prepaid(order(&code, PENDING_FOR_EVER))
        .await;
    assert!(replay.unwrap().into_inner().replayed);
    assert_eq!(
        world.ledger(&code).await.received,
        0,
        "the new sandbox must receive nothing"
    );
}

/// Requests checks until the transaction leaves CONFIRMING and PENDING.
async fn until_checked(gateway: &Gateway, code: &str) -> Transaction {
    let checking = async {
        loop {
            check_now(gateway, code).await;
            let now = get(&mut gateway.client().await, code).await.unwrap();
            if ![TransactionState::Confirming, TransactionState::Pending].contains(&now.state()) {
                return now;
            }
        }
    };
    tokio::time::timeout(PATIENCE, checking).await.unwrap()
}

#[test]
fn mint_time_is_read_only_from_uuid_version_7() {
    let minted_at = |text: &str| ReferenceCode::parse(text).unwrap().minted_at();
    // The example of RFC 9562, appendix A.6.
    let example = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
    let made = "2022-02-22T19:22:22Z".parse().unwrap();
    assert_eq!(minted_at(example), Some(made));
    assert_eq!(minted_at(&example.replace('-', "")), Some(made));
    for other in [
        "017F22E2-79B0-4CC3-98C4-DC0C0C07398F",
        "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",
        "C232AB00-9414-11EC-B3C8-9F6BDECED846",
        "INVOICE-2022-02-22-000001",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        assert_eq!(minted_at(other), None, "{other}");
    }
}

on_both_stores!(
    purchase_lost_by_restore_is_quarantined_and_found_by_check,
    quarantined_purchase_is_sent_after_never_received,
    quarantined_purchase_escalates_to_review_without_evidence,
    reference_code_minted_after_loss_is_not_quarantined,
    payment_is_quarantined_when_inquiry_predates_loss,
    restored_not_sent_record_is_quarantined,
    quarantined_purchase_with_receipt_is_not_sent_after_never_received,
);
