//! The notes that an open transaction rests on do not end before it; tombstones and the items of
//! lists do.

use okebayar_gateway::{
    grpc::v1::{TransactionResolution, TransactionState},
    notices::texts::{self, NoticeOutcome},
    store::{BoundedList, Store, Tombstone},
};
use tonic::Code;

use super::support::{end_at_once, keys, resolve, until_retired};
use crate::support::{
    bills::{key, store_of},
    callbacks::post,
    failover::stop,
    metrics::until,
    process::PATIENCE,
    redis::Redis,
    world::{
        ANSWER_AND_CALLBACK_LOST, Gateway, PENDING_FOR_EVER, PLAIN, PRODUCT, StoreKind, WATER,
        World, assert_refused, assert_succeeded, buy, get, pay, prepaid_question, reference,
    },
};

/// Returns the remaining time of a key in milliseconds; -2 when it is gone.
async fn remaining(redis: &Redis, key: &str) -> i64 {
    let mut connection = redis.connection().await;
    let mut ask = redis::cmd("PTTL");
    ask.arg(key);
    ask.query_async(&mut connection).await.unwrap()
}

async fn one(redis: &Redis, pattern: &str) -> String {
    let mut found = keys(redis, pattern).await;
    assert_eq!(found.len(), 1, "{pattern}: {found:?}");
    found.remove(0)
}

/// Lets a note end soon, and waits until it is renewed for longer than an hour.
async fn assert_renewed(redis: &Redis, note: &str) {
    redis.command(&["PEXPIRE", note, "20000"]).await;
    let renewed = async {
        while remaining(redis, note).await < 3_600_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed)
        .await
        .unwrap_or_else(|_| panic!("{note} was not renewed"));
}

/// Lets a note end soon, and waits until it has.
async fn assert_ends(redis: &Redis, note: &str) {
    redis.command(&["PEXPIRE", note, "1500"]).await;
    let gone = async {
        loop {
            match remaining(redis, note).await {
                -2 => return,
                left => assert!(left <= 1500, "{note} was renewed"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

async fn renewing_world() -> World {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("retention.renewal_interval", "50ms")
        .set("retention.interval", "50ms");
    world
}

async fn until_review(gateway: &Gateway, code: &str) -> i64 {
    let is_review =
        |it: &okebayar_gateway::grpc::v1::Transaction| it.state() == TransactionState::NeedsReview;
    gateway.until(code, is_review).await.revision
}

/// A payment whose outcome nobody knows holds its inquiry and its bill for as long as it is open.
#[tokio::test]
async fn binding_and_bill_list_outlive_open_payment() {
    let mut world = renewing_world().await;
    world.set("checks.give_up_after", "300ms");
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let mut client = gateway.client().await;
    let (code, other) = (reference(), reference());
    let bill = gateway.bill(WATER, PENDING_FOR_EVER).await;
    pay(&mut client, &code, &bill).await.unwrap();
    let revision = until_review(&gateway, &code).await;
    let binding = one(redis, "okb:*:note:bound:*").await;
    let list = one(redis, "okb:*:note:bill:*").await;
    for note in [&binding, &list] {
        assert_renewed(redis, note).await;
    }
    // Also once the inquiry itself has ended, by the number of its binding alone.
    let inquiry = one(redis, "okb:*:note:inquiry:*").await;
    redis.command(&["RENAME", &inquiry, "test:inquiry"]).await;
    assert_renewed(redis, &binding).await;
    redis.command(&["RENAME", "test:inquiry", &inquiry]).await;
    let refused = pay(&mut client, &other, &bill).await;
    assert_refused(
        refused,
        Code::FailedPrecondition,
        "INQUIRY_ALREADY_USED",
        "no",
    );

    resolve(&mut client, &code, revision, TransactionResolution::Failed)
        .await
        .unwrap();
    for note in [&binding, &list] {
        assert_ends(redis, note).await;
    }
}

/// A note that cannot be read does not let the others end.
#[tokio::test]
async fn bill_list_is_renewed_beside_a_corrupt_binding() {
    let world = renewing_world().await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let bill = gateway.bill(WATER, PENDING_FOR_EVER).await;
    pay(&mut gateway.client().await, &reference(), &bill)
        .await
        .unwrap();
    let binding = one(redis, "okb:*:note:bound:*").await;
    let list = one(redis, "okb:*:note:bill:*").await;
    redis.command(&["SET", &binding, "!", "KEEPTTL"]).await;
    assert_renewed(redis, &list).await;
}

/// Without the mark, a check that finds the inquiry's success would settle the purchase.
#[tokio::test]
async fn mark_of_inquiry_outlives_open_purchase() {
    let world = renewing_world().await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let mut client = gateway.client().await;
    let code = reference();
    let question = prepaid_question(&code, PRODUCT, PENDING_FOR_EVER);
    let mut inquirer = gateway.inquirer().await;
    drop(inquirer.inquire_prepaid(question).await);
    let mark = one(redis, "okb:*:note:inquired:*").await;
    // The mark alone does not keep itself.
    redis.command(&["PEXPIRE", &mark, "3600000"]).await;
    let bought = buy(&mut client, &code, PENDING_FOR_EVER).await;
    assert!(!bought.terminal, "{bought:?}");
    assert_renewed(redis, &mark).await;
    assert!(!get(&mut client, &code).await.unwrap().terminal);
}

/// Tombstones end, and nothing that is younger.
#[tokio::test]
async fn tombstones_end_after_their_retention() {
    let mut world = World::new(StoreKind::Redis).await;
    // So that one pass reads all of it.
    world
        .set("retention.interval", "20ms")
        .set("store.partitions", "1");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let codes = [reference(), reference()];
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }
    stop(gateway).await;
    let store = store_of(&world).await;
    for (code, age) in codes.iter().zip([435, 437]) {
        let last = store.load(&key(code)).await.unwrap().unwrap();
        let mut tombstone = Tombstone::of(&last).unwrap();
        tombstone.changed_on -= age;
        store.retire(&last, Some(&tombstone)).await.unwrap();
    }
    let gateway = world.start_gateway().await;
    let removed = "okebayar_retention_tombstones_removed_total";
    until(&gateway, removed, "", |count| count >= 1.0).await;
    let mut client = gateway.client().await;
    super::support::assert_retired(get(&mut client, &codes[0]).await, "SUCCEEDED");
    let unknown = get(&mut client, &codes[1]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

/// Items of lists end by their age, the oldest first.
#[tokio::test]
async fn orphans_and_notices_end_by_age() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("retention.interval", "20ms")
        .set("retention.lists", "1h");
    let gateway = world.start_gateway().await;
    let body =
        |number| format!(r#"{{"referencecode":"unknown-{number}","transactionstatus":"000"}}"#);
    post(&world.callback_url(), body(1)).await;
    let store = store_of(&world).await;
    let item = store
        .oldest_item(BoundedList::Orphans)
        .await
        .unwrap()
        .unwrap();
    assert!(item.contains("unknown-1"), "{item}");
    stop(gateway).await;
    end_at_once(&mut world);
    world.set("retention.lists", "1ms");
    let gateway = world.start_gateway().await;
    let ended = async {
        while store
            .oldest_item(BoundedList::Orphans)
            .await
            .unwrap()
            .is_some()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    drop(gateway);
}

/// A text that OKEBAYAR still sends is kept, and one that ends can be listed again.
#[tokio::test]
async fn notice_ends_after_its_last_mention_with_its_mentions() {
    let mut world = World::new(StoreKind::Redis).await;
    stop(world.start_gateway().await).await;
    let store = store_of(&world).await;
    let hours = jiff::SignedDuration::from_hours(1);
    let now = (okebayar_gateway::ambient::Ambient::system().now)();
    let account = okebayar_gateway::transaction::AccountName::parse("main").unwrap();
    let add = async |text, at| texts::add_notice(&store, &account, text, at).await.unwrap();
    let old = now - hours * 10;
    add("ended", old).await;
    add("mentioned", old + hours).await;
    assert_eq!(add("mentioned", now).await, NoticeOutcome::Repeated);
    world
        .set("retention.interval", "20ms")
        .set("retention.lists", "5h");
    let gateway = world.start_gateway().await;
    let listed = async || store.items(BoundedList::Notices).await.unwrap();
    let ended = async {
        while listed().await.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    // Some more passes.
    let passes = "okebayar_store_operation_duration_seconds_count";
    let label = "operation=\"oldest_item\",";
    until(&gateway, passes, label, |count| count >= 30.0).await;
    assert!(listed().await[0].contains("mentioned"));
    stop(gateway).await;
    assert_eq!(add("ended", now).await, NoticeOutcome::Kept);
}

/// A purchase whose answer and callback are lost is open until a check has settled it, and ends
/// after that.
#[tokio::test]
async fn purchase_ends_once_a_check_has_settled_it() {
    let mut world = World::new(StoreKind::Redis).await;
    end_at_once(&mut world);
    world.set("accounts.main.timeout", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, ANSWER_AND_CALLBACK_LOST).await;
    until_retired(&gateway, "SUCCEEDED", 1).await;
    assert_eq!(world.ledger(&code).await.received, 1);
}
