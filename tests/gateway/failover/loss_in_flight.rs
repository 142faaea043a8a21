//! Redis loses records while a purchase or a payment is in flight.

use okebayar_gateway::grpc::v1::{
    PurchasePrepaidRequest, Transaction, TransactionReason, TransactionState,
};
use tokio::net::TcpListener;
use tonic::Code;

use crate::support::{
    failover::{assert_quarantined, buy_until_sent, check_now, short_skew},
    process::PATIENCE,
    world::{
        ANSWER_AND_CALLBACK_LOST, PLAIN, SLOW, StoreKind, WATER, World, assert_refused,
        assert_succeeded, bought, buy, get, minted, order, pay, reference, start_purchase,
    },
};

#[tokio::test]
async fn purchase_in_flight_is_rewritten_after_flush() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.start_slow_sandbox("1s").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let buying = start_purchase(client, order(&code, SLOW));
    world.ledger_when(&code, "received=1").await;
    world.flush_redis().await;
    assert_succeeded(&bought(buying.await.unwrap().unwrap().into_inner()));
    let mut client = gateway.client().await;
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    assert_succeeded(&gateway.until_final(&code).await);
    let replay = client.purchase_prepaid(order(&code, SLOW)).await.unwrap();
    assert!(replay.into_inner().replayed);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses the attempt in flight and again holds the previous attempt, which was not sent.
#[tokio::test]
async fn unknown_outcome_escalates_to_review_over_restored_not_sent() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.check_rarely().set("accounts.main.timeout", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = client
        .purchase_prepaid(order(&code, ANSWER_AND_CALLBACK_LOST))
        .await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    let mut redis = world.redis.as_ref().unwrap().connection().await;
    let pattern = format!("okb:*:tx:{}", code.replace('-', ""));
    let mut find = redis::cmd("KEYS");
    let found: Vec<String> = find.arg(pattern).query_async(&mut redis).await.unwrap();
    let [record] = &found[..] else {
        panic!("{found:?}");
    };
    let mut dump = redis::cmd("DUMP");
    let not_sent: Vec<u8> = dump.arg(record).query_async(&mut redis).await.unwrap();

    world.start_sandbox().await;
    let buying = start_purchase(client, order(&code, ANSWER_AND_CALLBACK_LOST));
    world.ledger_when(&code, "received=1").await;
    let mut put_back = redis::cmd("RESTORE");
    put_back
        .arg(record)
        .arg(0)
        .arg(&not_sent[..])
        .arg("REPLACE");
    put_back.exec_async(&mut redis).await.unwrap();

    let answer = buying.await.unwrap();
    assert_refused(answer, Code::Unavailable, "OUTCOME_UNREADABLE", "maybe");
    // A watch would end at NOT_SENT.
    let mut client = gateway.client().await;
    let reviewed = async {
        loop {
            let seen = get(&mut client, &code).await.unwrap();
            if seen.state() == TransactionState::NeedsReview {
                return seen;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, reviewed).await.unwrap();
    assert!(answer.contradicted && !answer.safe_to_refund && !answer.next_step().allows_purchase());
    let mut client = gateway.client().await;
    let again = buy(&mut client, &code, ANSWER_AND_CALLBACK_LOST).await;
    assert_eq!(again.state(), TransactionState::NeedsReview, "{again:#?}");
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses the purchase in flight, and another order is quarantined under its reference code.
#[tokio::test]
async fn outcome_of_lost_purchase_does_not_settle_another_order() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.start_slow_sandbox("2s").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let buying = start_purchase(client, order(&code, SLOW));
    world.ledger_when(&code, "received=1").await;
    world.flush_redis().await;
    let other = PurchasePrepaidRequest {
        product_code: "PULSA5".to_owned(),
        ..order(&code, SLOW)
    };
    let mut client = gateway.client().await;
    let held = client.purchase_prepaid(other).await.unwrap().into_inner();
    assert_quarantined(&bought(held));
    let _ = buying.await.unwrap();
    let is_review = |seen: &Transaction| seen.state() == TransactionState::NeedsReview;
    let settled = gateway.until(&code, is_review).await;
    assert_eq!(settled.product_code, "PULSA5");
    assert!(!settled.safe_to_refund && !settled.next_step().allows_purchase());
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses the purchase in flight and the note that its reference code was used for an inquiry.
#[tokio::test]
async fn failure_found_after_loss_stays_open_for_forgotten_inquiry() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("accounts.main.timeout", "2s");
    let gateway = world.start_gateway().await;
    let code = reference();
    let client = gateway.client().await;
    let buying = start_purchase(client, order(&code, ANSWER_AND_CALLBACK_LOST));
    world.ledger_when(&code, "received=1").await;
    world.flush_redis().await;
    let answer = bought(buying.await.unwrap().unwrap().into_inner());
    assert_eq!(answer.state(), TransactionState::Confirming, "{answer:#?}");
    let refused = r#"{"transactionstatus":"204"}"#;
    world.misprint(ANSWER_AND_CALLBACK_LOST, refused).await;
    check_now(&gateway, &code).await;
    let mut client = gateway.client().await;
    let checked = get(&mut client, &code).await.unwrap();
    assert_eq!(
        checked.state(),
        TransactionState::Confirming,
        "{checked:#?}"
    );
}

/// "Already paid" may refer to a payment that the store has lost.
#[tokio::test]
async fn already_paid_bill_escalates_to_review_while_guard_is_on() {
    const PAID_ALREADY: &str = "080000009401";
    let mut world = World::new(StoreKind::Redis).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let before = gateway.bill(WATER, PAID_ALREADY).await;
    let paid = pay(&mut client, &minted(0), &before).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Failed, "{paid:#?}");
    world.flush_redis().await;
    buy_until_sent(&world, &mut client, || minted(0)).await;
    let bill = gateway.bill(WATER, PAID_ALREADY).await;
    let paid = pay(&mut client, &minted(0), &bill).await.unwrap();
    assert_eq!(paid.state(), TransactionState::NeedsReview, "{paid:#?}");
    assert_eq!(paid.reason(), TransactionReason::PaidMeanwhile, "{paid:#?}");
}

/// The payment is sent before the loss and answered before any gateway detects the loss.
#[tokio::test]
async fn already_paid_bill_escalates_to_review_before_loss_is_detected() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.start_slow_sandbox("1s").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let bill = gateway.bill(WATER, SLOW).await;
    world.misprint(SLOW, r#"{"responsecode":"401"}"#).await;
    let code = reference();
    let paying = tokio::spawn({
        let (mut client, code) = (gateway.client().await, code.clone());
        async move { pay(&mut client, &code, &bill).await }
    });
    world.ledger_when(&code, "received=1").await;
    world.flush_redis().await;
    let _ = paying.await.unwrap();
    let is_review = |seen: &Transaction| seen.state() == TransactionState::NeedsReview;
    let answer = gateway.until(&code, is_review).await;
    assert_eq!(
        answer.reason(),
        TransactionReason::PaidMeanwhile,
        "{answer:#?}"
    );
}

#[tokio::test]
async fn unsent_attempt_does_not_override_attempt_of_another_replica() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.failover_guard", "0s");
    let sends = world.start_replica().await;
    // The TLS handshake never completes, so it is certain that nothing is sent.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    world.set("accounts.main.url", &url);
    let mut stalls = world.start_gateway().await;
    let code = reference();
    let client = stalls.client().await;
    let stalled = start_purchase(client, order(&code, PLAIN));
    let (connection, _) = silent.accept().await.unwrap();
    world.flush_redis().await;
    let mut client = sends.client().await;
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    drop(connection);
    let answer = stalled.await.unwrap().unwrap().into_inner();
    assert_succeeded(&bought(answer));
    stalls.process.signal("-TERM");
    assert!(stalls.process.ended().await.success());
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    assert_eq!(world.ledger(&code).await.received, 1);
}
