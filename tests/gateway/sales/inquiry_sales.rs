//! A prepaid inquiry that OKEBAYAR answers like a purchase may be a sale: it is stored and alerted,
//! and the product is not bought again until an operator resolves it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::{
    grpc::v1::{
        ListOrphanCallbacksRequest, ListTransactionsRequest, ResolveTransactionRequest,
        Transaction, TransactionReason, TransactionResolution, TransactionState,
        notice_service_client::NoticeServiceClient,
    },
    sandbox::scenario::SELLS_INQUIRIES,
};
use serde_json::json;
use tokio::sync::Notify;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    calls::{FORMATS, rupiah},
    fake_okebayar::{REFERENCE, serve_later, written},
    metrics::until,
    on_both_stores,
    process::PATIENCE,
    world::{
        Client, Gateway, PLAIN, PRODUCT, PRODUCT_PRICE, StoreKind, WATER, World, assert_refused,
        assert_succeeded, bought, buy, get, order, prepaid_question, question, reference,
    },
};

const REASON: &str = "INQUIRY_ANSWERED_AS_PURCHASE";
const COUNTER: &str = "okebayar_inquiries_answered_as_purchase_total";

async fn counted(gateway: &Gateway, count: f64) {
    let label = "okebayar_account=\"main\"";
    until(gateway, COUNTER, label, |value| value >= count).await;
}

async fn inquire(gateway: &Gateway, code: &str, account_number: &str) -> Status {
    let asked = prepaid_question(code, PRODUCT, account_number);
    let answer = gateway.inquirer().await.inquire_prepaid(asked).await;
    assert_refused(answer, Code::FailedPrecondition, REASON, "maybe")
}

fn metadata(status: &Status, name: &str) -> String {
    let info = status.get_details_error_info().unwrap();
    info.metadata.get(name).cloned().unwrap_or_default()
}

async fn assert_buys_nothing(client: &mut Client, code: &str, account_number: &str, of: &str) {
    let refused = client.purchase_prepaid(order(code, account_number)).await;
    let status = assert_refused(refused, Code::FailedPrecondition, REASON, "maybe");
    assert_eq!(metadata(&status, "other_reference_code"), of);
}

async fn settle(client: &mut Client, sold: &Transaction, resolution: TransactionResolution) {
    let request = ResolveTransactionRequest {
        reference_code: sold.reference_code.clone(),
        resolution: resolution.into(),
        operator: "ops".into(),
        note: "asked OKEBAYAR".into(),
        revision: sold.revision,
        ..ResolveTransactionRequest::default()
    };
    client.resolve_transaction(request).await.unwrap();
}

fn assert_needs_review(sold: &Transaction) {
    assert_eq!(sold.state(), TransactionState::NeedsReview, "{sold:#?}");
    assert_eq!(sold.reason(), TransactionReason::ChecksExhausted);
    assert!(!sold.safe_to_refund && !sold.next_step().allows_purchase());
}

on_both_stores!(
    inquiry_answered_like_purchase_is_kept_and_blocks_purchase,
    sale_under_taken_reference_code_is_kept_under_another,
);

async fn inquiry_answered_like_purchase_is_kept_and_blocks_purchase(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        let mut gateway = world.start_gateway().await;
        counted(&gateway, 0.0).await;
        let code = reference();
        let status = inquire(&gateway, &code, SELLS_INQUIRIES).await;
        assert_eq!(metadata(&status, "other_reference_code"), code, "{format}");
        assert_eq!(metadata(&status, "status_code"), "000");
        let price = metadata(&status, "price");
        assert!(price.starts_with(&PRODUCT_PRICE.to_string()), "{price}");
        counted(&gateway, 1.0).await;
        let mut client = gateway.client().await;
        let sold = get(&mut client, &code).await.unwrap();
        assert_needs_review(&sold);
        assert_eq!(sold.price, rupiah(PRODUCT_PRICE));
        assert!(!sold.serial_number.is_empty(), "{format}");
        let description = &sold.timeline.last().unwrap().description;
        assert!(
            sold.timeline
                .iter()
                .any(|entry| entry.description.contains("like a purchase")),
            "{description}"
        );
        // The token is returned to authorized callers and appears in no log.
        assert!(!gateway.process.text().contains(&sold.serial_number));
        assert!(!status.message().contains(&sold.serial_number));

        gateway.process.kill().await;
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let same = buy(&mut client, &code, SELLS_INQUIRIES).await;
        assert_needs_review(&same);
        assert_buys_nothing(&mut client, &reference(), SELLS_INQUIRIES, &code).await;
        assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
        let mut other = order(&reference(), SELLS_INQUIRIES);
        other.product_code = "PULSA100".into();
        let other = client.purchase_prepaid(other).await.unwrap();
        assert_succeeded(&bought(other.into_inner()));
        assert_eq!(world.ledger(&code).await.executed, 1, "{format}");

        settle(&mut client, &sold, TransactionResolution::Succeeded).await;
        assert_succeeded(&get(&mut client, &code).await.unwrap());
        let again = reference();
        assert_succeeded(&buy(&mut client, &again, SELLS_INQUIRIES).await);
        assert_eq!(world.ledger(&again).await.executed, 1);
    }
}

#[tokio::test]
async fn sale_blocks_purchase_in_every_form_of_number() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    inquire(&gateway, &code, SELLS_INQUIRIES).await;
    let mut client = gateway.client().await;
    let national = SELLS_INQUIRIES.strip_prefix('0').unwrap();
    for form in [
        format!("62{national}"),
        format!("+62{national}"),
        format!("0062-{national}"),
        SELLS_INQUIRIES.replace("0000", "-0000-"),
    ] {
        assert_buys_nothing(&mut client, &reference(), &form, &code).await;
    }
}

#[tokio::test]
async fn inquiry_answered_as_pending_is_kept() {
    for (format, code_answered) in [("json", "002"), ("xml", "001")] {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let status = json!({ "transactionstatus": code_answered, "serialnumber": "" });
        world.misprint(SELLS_INQUIRIES, status.to_string()).await;
        let code = reference();
        let status = inquire(&gateway, &code, SELLS_INQUIRIES).await;
        assert_eq!(metadata(&status, "status_code"), code_answered);
        let mut client = gateway.client().await;
        assert_needs_review(&get(&mut client, &code).await.unwrap());
        assert_buys_nothing(&mut client, &reference(), SELLS_INQUIRIES, &code).await;
    }
}

#[tokio::test]
async fn sale_under_own_reference_code_blocks_purchase_of_caller() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.prepaid_inquiry_reference", "own");
    let gateway = world.start_gateway().await;
    let code = reference();
    let status = inquire(&gateway, &code, SELLS_INQUIRIES).await;
    let own = metadata(&status, "other_reference_code");
    assert!(own != code && !own.is_empty());
    let mut client = gateway.client().await;
    let request = ListTransactionsRequest {
        states: vec![TransactionState::NeedsReview.into()],
        ..ListTransactionsRequest::default()
    };
    let listed = client.list_transactions(request).await.unwrap();
    let listed = listed.into_inner().transactions;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].reference_code, own);
    assert_buys_nothing(&mut client, &code, SELLS_INQUIRIES, &own).await;
    settle(&mut client, &listed[0], TransactionResolution::Failed).await;
    assert_succeeded(&buy(&mut client, &code, SELLS_INQUIRIES).await);
}

#[tokio::test]
async fn purchase_is_replayed_while_sale_blocks_others() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let before = reference();
    assert_succeeded(&buy(&mut client, &before, SELLS_INQUIRIES).await);
    let sold = reference();
    inquire(&gateway, &sold, SELLS_INQUIRIES).await;
    let again = buy(&mut client, &before, SELLS_INQUIRIES).await;
    assert_succeeded(&again);
}

async fn sale_under_taken_reference_code_is_kept_under_another(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let taken = reference();
        let mut other = order(&taken, SELLS_INQUIRIES);
        other.product_code = "PULSA100".into();
        let before = bought(client.purchase_prepaid(other).await.unwrap().into_inner());
        assert_succeeded(&before);
        let status = inquire(&gateway, &taken, SELLS_INQUIRIES).await;
        let own = metadata(&status, "other_reference_code");
        assert!(own != taken && status.message().contains(&own), "{status}");
        // The inquiry's answer leaves the purchase unchanged, and its token is stored.
        let after = get(&mut client, &taken).await.unwrap();
        assert_eq!(after.serial_number, before.serial_number, "{format}");
        let sold = get(&mut client, &own).await.unwrap();
        assert_needs_review(&sold);
        assert_eq!(sold.price, rupiah(PRODUCT_PRICE), "{format}");
        assert!(!sold.serial_number.is_empty(), "{format}");
        assert_eq!(orphans(&gateway).await, [(taken, "000".to_owned())]);
        assert_buys_nothing(&mut client, &reference(), SELLS_INQUIRIES, &own).await;
        settle(&mut client, &sold, TransactionResolution::Succeeded).await;
        assert_succeeded(&buy(&mut client, &reference(), SELLS_INQUIRIES).await);
    }
}

async fn orphans(gateway: &Gateway) -> Vec<(String, String)> {
    try_orphans(gateway).await.unwrap()
}

async fn try_orphans(gateway: &Gateway) -> Result<Vec<(String, String)>, Status> {
    let url = format!("http://{}", gateway.grpc);
    let mut notices = NoticeServiceClient::connect(url).await.unwrap();
    let listed = notices.list_orphan_callbacks(ListOrphanCallbacksRequest::default());
    let listed = listed.await?.into_inner().orphan_callbacks;
    let listed = listed.into_iter();
    Ok(listed
        .map(|orphan| (orphan.reference_code, orphan.status_code))
        .collect())
}

#[tokio::test]
async fn postpaid_inquiry_answered_like_payment_is_kept_as_orphan() {
    for format in FORMATS {
        for misprint in [
            json!({ "inquiryexpired": null, "billingperiod": "202610" }),
            json!({ "inquiryexpired": null, "inquirycode": null, "serialnumber": "77" }),
        ] {
            let mut world = World::new(StoreKind::Embedded).await;
            world.set("accounts.main.format", format);
            let gateway = world.start_gateway().await;
            world.misprint("7100001", misprint.to_string()).await;
            let asked = question(WATER, "7100001");
            let answer = gateway.inquirer().await.inquire_postpaid(asked).await;
            let status = assert_refused(answer, Code::FailedPrecondition, REASON, "maybe");
            let own = metadata(&status, "other_reference_code");
            assert_eq!(
                orphans(&gateway).await,
                [(own, "000".to_owned())],
                "{format}"
            );
            counted(&gateway, 1.0).await;
        }
    }
}

/// The answer to a purchase.
const SOLD: [(&str, &str); 5] = [
    ("tracecode", "t-1"),
    ("transactionstatus", "000"),
    ("serialnumber", "998877"),
    ("harga", "10500"),
    ("referencecode", REFERENCE),
];

#[tokio::test]
async fn postpaid_sale_is_kept_after_caller_and_store_disconnect() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.set("store.timeout", "1s");
    let held = serve_held(&world, "json").await;
    let gateway = world.start_gateway().await;
    let mut inquirer = gateway.inquirer().await;
    let mut asked = tonic::Request::new(question(WATER, "7100001"));
    asked.set_timeout(Duration::from_millis(300));
    let asking = tokio::spawn(async move { inquirer.inquire_postpaid(asked).await });
    held.asked.notified().await;
    asking.await.unwrap().unwrap_err();
    let redis = world.redis.as_mut().unwrap();
    redis.kill().await;
    held.may_answer.notify_one();
    let kept = async {
        while !gateway.process.text().contains("possible sale not stored") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        redis.start_again().await;
        // The gateway reconnects after its own backoff.
        while !try_orphans(&gateway)
            .await
            .is_ok_and(|found| found.len() == 1)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, kept).await.unwrap();
}

/// The answer to an inquiry.
const INQUIRED: [(&str, &str); 5] = [
    ("tracecode", "t-2"),
    ("transactionstatus", "000"),
    ("inquirycode", "INQ-1"),
    ("inquiryexpired", "2030-03-25 20:09:12.374"),
    ("referencecode", REFERENCE),
];

async fn until_kept(gateway: &Gateway, code: &str) -> Transaction {
    until_in(gateway, code, TransactionState::NeedsReview).await
}

async fn until_in(gateway: &Gateway, code: &str, state: TransactionState) -> Transaction {
    let mut client = gateway.client().await;
    let kept = async {
        loop {
            match get(&mut client, code).await {
                Ok(found) if found.state() == state => break found,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, kept).await.unwrap()
}

/// An upstream that answers when the test permits it.
struct Held {
    asked: Arc<Notify>,
    may_answer: Arc<Notify>,
}

async fn serve_held(world: &World, format: &'static str) -> Held {
    let held = Held {
        asked: Arc::default(),
        may_answer: Arc::default(),
    };
    let (asked, may_answer) = (Arc::clone(&held.asked), Arc::clone(&held.may_answer));
    serve_later(world.sandbox_port, move |code| {
        let (asked, may_answer) = (Arc::clone(&asked), Arc::clone(&may_answer));
        Box::pin(async move {
            asked.notify_one();
            may_answer.notified().await;
            Some(written(format, &SOLD, &code))
        })
    })
    .await;
    held
}

#[tokio::test]
async fn sale_is_kept_after_caller_disconnects() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let held = serve_held(&world, "json").await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut inquirer = gateway.inquirer().await;
    let question = prepaid_question(&code, PRODUCT, PLAIN);
    let mut question = tonic::Request::new(question);
    question.set_timeout(Duration::from_millis(300));
    let asking = tokio::spawn(async move { inquirer.inquire_prepaid(question).await });
    held.asked.notified().await;
    let gone = asking.await.unwrap().unwrap_err();
    assert!(
        matches!(gone.code(), Code::Cancelled | Code::DeadlineExceeded),
        "{gone}"
    );
    held.may_answer.notify_one();
    assert_eq!(until_kept(&gateway, &code).await.serial_number, "998877");
}

#[tokio::test]
async fn sale_is_kept_once_store_recovers() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.set("store.timeout", "1s");
    let held = serve_held(&world, "xml").await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let asking = inquire(&gateway, &code, PLAIN);
    let redis = world.redis.as_ref().unwrap();
    let freezing = async {
        held.asked.notified().await;
        redis.freeze();
        held.may_answer.notify_one();
    };
    let (status, ()) = tokio::join!(asking, freezing);
    assert!(
        status.message().contains("store does not answer"),
        "{status}"
    );
    redis.thaw();
    gateway.readiness(200).await;
    held.may_answer.notify_one();
    assert_buys_nothing(&mut gateway.client().await, &reference(), PLAIN, &code).await;
    assert_eq!(until_kept(&gateway, &code).await.serial_number, "998877");
    let mut client = gateway.client().await;
    assert_buys_nothing(&mut client, &reference(), PLAIN, &code).await;
}

#[tokio::test]
async fn duplicate_code_is_no_sale_when_inquiry_in_flight_is_answered() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let held = Held {
        asked: Arc::default(),
        may_answer: Arc::default(),
    };
    let (first, may_answer) = (Arc::clone(&held.asked), Arc::clone(&held.may_answer));
    let duplicate_answered = Arc::new(Notify::new());
    let (answering, asked) = (Arc::clone(&duplicate_answered), AtomicUsize::new(0));
    serve_later(world.sandbox_port, move |code| {
        let (first, may_answer) = (Arc::clone(&first), Arc::clone(&may_answer));
        let (answering, number) = (Arc::clone(&answering), asked.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            if number == 0 {
                first.notify_one();
                may_answer.notified().await;
                return Some(written("json", &INQUIRED, &code));
            }
            answering.notify_one();
            let duplicate = [("transactionstatus", "208"), ("referencecode", REFERENCE)];
            Some(written("json", &duplicate, &code))
        })
    })
    .await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let ask = async || {
        let asked = prepaid_question(&code, PRODUCT, PLAIN);
        gateway.inquirer().await.inquire_prepaid(asked).await
    };
    let retried = async {
        held.asked.notified().await;
        let answering = async {
            duplicate_answered.notified().await;
            // Long enough to read the 208 as a sale if the inquiry in flight were not awaited.
            let taken = until_in(&gateway, &code, TransactionState::NeedsReview);
            assert!(
                tokio::time::timeout(Duration::from_millis(300), taken)
                    .await
                    .is_err()
            );
            held.may_answer.notify_one();
        };
        tokio::join!(ask(), answering).0
    };
    let (answered, retried) = tokio::join!(ask(), retried);
    answered.unwrap();
    assert_refused(retried, Code::Aborted, "REFERENCE_CODE_REFUSED", "maybe");
    let mut client = gateway.client().await;
    assert_eq!(
        get(&mut client, &code).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn queued_purchase_is_not_sent_after_sale() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.set("limits.sending", "1");
    let held = serve_held(&world, "json").await;
    let gateway = world.start_gateway().await;
    let (sold, waiting) = (reference(), reference());
    let inquiring = async {
        let status = inquire(&gateway, &sold, PLAIN).await;
        held.may_answer.notify_one();
        status
    };
    let buying = async {
        held.asked.notified().await;
        let mut client = gateway.client().await;
        let buying = client.purchase_prepaid(order(&waiting, PLAIN));
        let claimed = async {
            until_in(&gateway, &waiting, TransactionState::Sending).await;
            held.may_answer.notify_one();
        };
        tokio::join!(buying, claimed).0
    };
    let (_, bought) = tokio::join!(inquiring, buying);
    assert_refused(bought, Code::Unavailable, "CLAIM_ABANDONED", "no");
    let mut client = gateway.client().await;
    assert_buys_nothing(&mut client, &waiting, PLAIN, &sold).await;
}

#[tokio::test]
async fn duplicate_code_after_unanswered_inquiry_is_kept_as_sale() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let asked = AtomicUsize::new(0);
    serve_later(world.sandbox_port, move |code| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let duplicate = [("transactionstatus", "208"), ("referencecode", REFERENCE)];
        let answer = (number > 0).then(|| written("json", &duplicate, &code));
        Box::pin(std::future::ready(answer))
    })
    .await;
    let gateway = world.start_gateway().await;
    let code = reference();
    let asked = || prepaid_question(&code, PRODUCT, PLAIN);
    let lost = gateway.inquirer().await.inquire_prepaid(asked()).await;
    assert_refused(lost, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
    inquire(&gateway, &code, PLAIN).await;
    let mut client = gateway.client().await;
    assert_needs_review(&get(&mut client, &code).await.unwrap());
    // Without an earlier unanswered inquiry, 208 does not indicate a sale.
    let other = prepaid_question(&reference(), PRODUCT, "081200000009");
    let refused = gateway.inquirer().await.inquire_prepaid(other).await;
    assert_refused(refused, Code::Aborted, "REFERENCE_CODE_REFUSED", "maybe");
}
