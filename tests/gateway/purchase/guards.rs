//! The guards of a request: `expire_time` and `max_price`. Neither is part of the contents that
//! promise 5 compares.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::{Money, NextStep, PurchasePrepaidRequest, TransactionReason, TransactionState},
    purchase::PurchaseError,
    store::{Expiry, Store},
    transaction::{Amount, Guards, Intent},
};
use tonic::Code;
use tonic_types::StatusExt;

use super::terms::labelled;
use crate::support::{
    bench::{bench, buy as buy_at, intent},
    failover::{assert_quarantined, buy_until_sent},
    on_both_stores,
    world::{
        PLAIN, PRODUCT_PRICE, SLOW, StoreKind, World, assert_not_stored, assert_refused,
        assert_succeeded, bought, buy, get, metadata, minted, order, reference, rupiah,
        start_purchase, try_buy,
    },
};

/// Returns a time this long after now, or before.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may read the machine's clock"
)]
#[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
pub(super) fn from_now(span: SignedDuration) -> Option<prost_types::Timestamp> {
    let time = Timestamp::now().checked_add(span).unwrap();
    Some(prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    })
}

pub(super) const MINUTE: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn expiring(code: &str, span: SignedDuration) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        expire_time: from_now(span),
        ..order(code, PLAIN)
    }
}

pub(super) fn priced(code: &str, max_price: i64) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        max_price: rupiah(max_price),
        ..order(code, PLAIN)
    }
}

async fn expired_request_sends_and_stores_nothing(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = try_buy(&mut client, expiring(&code, -MINUTE)).await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "EXPIRED", "no");
    assert_eq!(metadata(&refused, "next_step"), "BUY_AGAIN");
    assert_not_stored(&mut client, &code).await;
    assert_eq!(world.ledger(&code).await.received, 0);

    // In time it is sent, and keeps its expire_time. A repeated call that has expired is a replay.
    let request = expiring(&code, MINUTE);
    let expire_time = request.expire_time;
    let first = bought(try_buy(&mut client, request).await.unwrap());
    assert_succeeded(&first);
    assert_eq!(first.expire_time, expire_time);
    let replay = try_buy(&mut client, expiring(&code, -MINUTE))
        .await
        .unwrap();
    assert!(replay.replayed);
    assert_eq!(bought(replay).expire_time, expire_time);
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn request_that_expires_in_queue_is_not_sent(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.start_slow_sandbox("3s").await;
    world
        .check_rarely()
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "20s");
    let gateway = world.start_gateway().await;
    let (busy, queued) = (reference(), reference());
    let first = start_purchase(gateway.client().await, order(&busy, SLOW));
    assert_eq!(world.ledger_when(&busy, "received=1").await.received, 1);
    let mut client = gateway.client().await;
    let refused = try_buy(&mut client, expiring(&queued, SignedDuration::from_secs(2))).await;
    assert_refused(refused, Code::FailedPrecondition, "EXPIRED", "no");
    let stored = get(&mut client, &queued).await.unwrap();
    assert_eq!(
        (stored.state(), stored.reason(), stored.next_step()),
        (
            TransactionState::NotSent,
            TransactionReason::Expired,
            NextStep::BuyAgain
        )
    );
    assert!(stored.safe_to_refund && !stored.terminal);
    assert_succeeded(&bought(first.await.unwrap().unwrap().into_inner()));
    assert_eq!(world.ledger(&queued).await.received, 0);

    // Its caller may have bought under another code: a call that only repeats sends nothing.
    for request in [order(&queued, PLAIN), expiring(&queued, -MINUTE)] {
        let refused = try_buy(&mut client, request).await;
        assert_refused(refused, Code::FailedPrecondition, "EXPIRED", "no");
    }
    assert_eq!(world.ledger(&queued).await.received, 0);
    // A call with a later expire_time arms it again, and replaces that of the first call.
    let later = expiring(&queued, MINUTE);
    let expire_time = later.expire_time;
    let again = bought(try_buy(&mut client, later).await.unwrap());
    assert_eq!(again.expire_time, expire_time);
    assert_eq!(world.ledger(&queued).await.received, 1);
}

async fn frozen_gateway_sends_nothing_after_expire_time(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    world.start_slow_sandbox("3s").await;
    world
        .check_rarely()
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "20s");
    let gateway = world.start_gateway().await;
    let (busy, frozen) = (reference(), reference());
    let first = start_purchase(gateway.client().await, order(&busy, SLOW));
    assert_eq!(world.ledger_when(&busy, "received=1").await.received, 1);
    let request = expiring(&frozen, SignedDuration::from_secs(3));
    let second = start_purchase(gateway.client().await, request);
    let mut client = gateway.client().await;
    while get(&mut client, &frozen).await.is_err() {}
    gateway.process.signal("-STOP");
    // The expire_time passes, and the answer of the first one frees the slot.
    tokio::time::sleep(Duration::from_secs(4)).await;
    gateway.process.signal("-CONT");
    let refused = second.await.unwrap();
    assert_refused(refused, Code::FailedPrecondition, "EXPIRED", "no");
    assert_succeeded(&bought(first.await.unwrap().unwrap().into_inner()));
    assert_eq!(world.ledger(&frozen).await.received, 0);
}

async fn last_price_above_max_price_is_refused(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let _second = world.add_account("second").await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // No price is known yet: allowed.
    let first = reference();
    let cheap = bought(try_buy(&mut client, priced(&first, 1)).await.unwrap());
    assert_succeeded(&cheap);
    assert_eq!(cheap.max_price, rupiah(1));

    // Another replica knows the price too; the embedded store has one process.
    let replica = match kind {
        StoreKind::Redis => Some(world.start_replica().await),
        StoreKind::Embedded => None,
    };
    let mut other = replica.as_ref().unwrap_or(&gateway).client().await;
    let code = reference();
    let refused = try_buy(&mut other, priced(&code, PRODUCT_PRICE - 1)).await;
    let refused = assert_refused(refused, Code::FailedPrecondition, "PRICE_TOO_HIGH", "no");
    assert_eq!(metadata(&refused, "price"), PRODUCT_PRICE.to_string());
    assert_eq!(
        metadata(&refused, "max_price"),
        (PRODUCT_PRICE - 1).to_string()
    );
    assert_eq!(
        metadata(&refused, "next_step"),
        "CORRECT_AND_RETRY_SAME_REFERENCE"
    );
    assert_not_stored(&mut client, &code).await;
    let accepted = try_buy(&mut client, priced(&code, PRODUCT_PRICE)).await;
    assert_succeeded(&bought(accepted.unwrap()));

    // A replay is not compared, whatever it accepts.
    let replay = try_buy(&mut client, priced(&code, 1)).await.unwrap();
    assert!(replay.replayed);
    assert_eq!(bought(replay).max_price, rupiah(PRODUCT_PRICE));
    // Another product and another account have prices of their own.
    let product = PurchasePrepaidRequest {
        product_code: "PULSA100".to_owned(),
        ..priced(&reference(), 1)
    };
    assert_succeeded(&bought(try_buy(&mut client, product).await.unwrap()));
    let account = PurchasePrepaidRequest {
        account: "second".to_owned(),
        ..priced(&reference(), 1)
    };
    assert_succeeded(&bought(try_buy(&mut client, account).await.unwrap()));
}

/// A clock of another gateway may be behind: until it is past the `expire_time` as well, that gateway
/// may send a call in flight, so its caller must not buy under another code.
#[tokio::test]
async fn expired_request_is_repeated_until_every_clock_is_past_it() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("store.clock_skew", "30s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    for (span, step) in [
        (SignedDuration::from_secs(-5), "RETRY_SAME_REFERENCE"),
        (-MINUTE, "BUY_AGAIN"),
    ] {
        let refused = try_buy(&mut client, expiring(&code, span)).await;
        let refused = assert_refused(refused, Code::FailedPrecondition, "EXPIRED", "no");
        assert_eq!(metadata(&refused, "next_step"), step);
    }
    assert_not_stored(&mut client, &code).await;
}

/// A NOT_SENT transaction is paid by its own account, so its price counts, whatever account the
/// repeated call would get.
#[tokio::test]
async fn armed_again_transaction_is_priced_by_its_own_account() {
    let mut world = World::new(StoreKind::Embedded).await;
    let second = world.add_account("second").await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let at_second = |code: &str| PurchasePrepaidRequest {
        account: "second".into(),
        ..order(code, PLAIN)
    };
    let taught = try_buy(&mut client, at_second(&reference())).await;
    assert_succeeded(&bought(taught.unwrap()));
    drop(second);
    let code = reference();
    let refused = try_buy(&mut client, at_second(&code)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    // The price of the default account is unknown, that of the second one is not.
    for validate_only in [true, false] {
        let request = PurchasePrepaidRequest {
            validate_only,
            ..priced(&code, PRODUCT_PRICE - 1)
        };
        let refused = try_buy(&mut client, request).await;
        assert_refused(refused, Code::FailedPrecondition, "PRICE_TOO_HIGH", "no");
    }
}

#[tokio::test]
async fn strict_account_refuses_max_price_while_price_is_unknown() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.unknown_price", "refuse");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = try_buy(&mut client, priced(&code, 1_000_000)).await;
    assert_refused(refused, Code::FailedPrecondition, "PRICE_UNKNOWN", "no");
    assert_not_stored(&mut client, &code).await;
    // Without the guard the purchase is as ever, and teaches the price.
    let bought_now = try_buy(&mut client, order(&code, PLAIN)).await;
    assert_succeeded(&bought(bought_now.unwrap()));
    let known = try_buy(&mut client, priced(&reference(), PRODUCT_PRICE)).await;
    assert_succeeded(&bought(known.unwrap()));
}

async fn armed_again_transaction_keeps_max_price_of_first_call(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = try_buy(&mut client, priced(&code, PRODUCT_PRICE - 1)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    world.start_sandbox().await;
    let teacher = try_buy(&mut client, order(&reference(), PLAIN)).await;
    assert_succeeded(&bought(teacher.unwrap()));
    for request in [order(&code, PLAIN), priced(&code, 2 * PRODUCT_PRICE)] {
        let refused = try_buy(&mut client, request).await;
        assert_refused(refused, Code::FailedPrecondition, "PRICE_TOO_HIGH", "no");
    }
    assert_eq!(world.ledger(&code).await.received, 0);
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.max_price, rupiah(PRODUCT_PRICE - 1));
}

/// Buys on a bench whose store holds a price from this many minutes ago, or ahead.
async fn price_known_since(minutes: i64) -> Result<(), PurchaseError> {
    let bench = bench(&[], &[]).await;
    let ago = from_now(SignedDuration::from_mins(-minutes)).unwrap();
    let at = Timestamp::new(ago.seconds, ago.nanos).unwrap();
    let price = Amount::parse("10500").unwrap();
    let note = serde_json::json!({ "price": price, "at": at }).to_string();
    let expiry = Expiry {
        now: at,
        until: Timestamp::MAX,
    };
    let stored = bench
        .store
        .inner
        .put_note("price:main:pulsa10", None, &note, expiry);
    stored.await.unwrap();
    let guards = Guards {
        max_price: Amount::parse("10499").ok(),
        ..Guards::default()
    };
    let bought = buy_at(&bench.gateway, Intent { guards, ..intent() }).await;
    bench.settle().await;
    bought.map(drop)
}

#[tokio::test]
async fn price_older_than_a_day_counts_as_unknown() {
    let refused = price_known_since(24 * 60 - 1).await.unwrap_err();
    assert!(
        matches!(refused, PurchaseError::PriceTooHigh { .. }),
        "{refused}"
    );
    price_known_since(24 * 60 + 1).await.unwrap();
    // A clock that is far ahead must not pin a price.
    let refused = price_known_since(-1).await.unwrap_err();
    assert!(
        matches!(refused, PurchaseError::PriceTooHigh { .. }),
        "{refused}"
    );
    price_known_since(-60).await.unwrap();
}

#[tokio::test]
async fn every_invalid_guard_is_reported_at_once() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let request = PurchasePrepaidRequest {
        expire_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        max_price: Some(Money {
            currency_code: "USD".into(),
            units: 1,
            nanos: 0,
        }),
        wait_until: 99,
        ..labelled(&code, &[("", "CANARY-value")])
    };
    let refused = try_buy(&mut client, request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["max_price", "wait_until", "expire_time", "labels"]);
    assert!(!format!("{refused:?}").contains("CANARY-value"));
    let free = PurchasePrepaidRequest {
        max_price: rupiah(0),
        ..order(&code, PLAIN)
    };
    let refused = try_buy(&mut client, free).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "maybe");
    assert_not_stored(&mut client, &code).await;
}

#[tokio::test]
async fn guards_do_not_refuse_a_request_that_store_may_have_lost() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    world.flush_redis().await;
    // The first purchase after the loss detects it.
    assert_quarantined(&buy(&mut client, &reference(), PLAIN).await);

    // The caller lost the answer; its purchase has expired, and costs more, since.
    buy_until_sent(&world, &mut client, || minted(0)).await;
    let repeated = PurchasePrepaidRequest {
        max_price: rupiah(1),
        ..expiring(&code, -MINUTE)
    };
    let found = bought(try_buy(&mut client, repeated).await.unwrap());
    assert_quarantined(&found);
    assert_eq!(found.next_step(), NextStep::Wait);
    assert_eq!(world.ledger(&code).await.received, 1);
}

on_both_stores!(
    expired_request_sends_and_stores_nothing,
    request_that_expires_in_queue_is_not_sent,
    frozen_gateway_sends_nothing_after_expire_time,
    last_price_above_max_price_is_refused,
    armed_again_transaction_keeps_max_price_of_first_call,
);
