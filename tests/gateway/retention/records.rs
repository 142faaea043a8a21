//! Which records end, and when.

use okebayar_gateway::grpc::v1::{TransactionResolution, TransactionState};

use super::support::{
    assert_retired, end_at_once, resolve, restart_ending, send_quickly, until_retired,
};
use crate::support::{
    failover::stop,
    metrics::{metrics, sum, until},
    on_both_stores,
    world::{
        Gateway, PENDING_FOR_EVER, PENDING_THEN_FAILURE, PLAIN, StoreKind, World, assert_succeeded,
        bought, buy, get, order, reference, try_buy,
    },
};

/// Waits until the retention has made two more passes.
async fn two_passes(gateway: &Gateway) {
    let name = "okebayar_store_operation_duration_seconds_count";
    let label = "operation=\"oldest_item\",";
    let passes = sum(&metrics(gateway).await, name, label);
    // Each pass reads the oldest item of three lists.
    until(gateway, name, label, |now| now >= passes + 6.0).await;
}

async fn every_final_state_ends_and_no_other_does(kind: StoreKind) {
    let mut world = World::new(kind).await;
    // Two undecided ones: one still checked, and one that waits for an operator.
    world.set("checks.give_up_after", "400ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let codes: Vec<String> = (0..4).map(|_| reference()).collect();
    let [succeeded, failed, reversed, undecided] = &codes[..] else {
        unreachable!()
    };
    for (code, account_number) in [
        (succeeded, PLAIN),
        (failed, PENDING_THEN_FAILURE),
        (reversed, PLAIN),
        (undecided, PENDING_FOR_EVER),
    ] {
        buy(&mut client, code, account_number).await;
    }
    for code in [succeeded, failed, reversed] {
        gateway.until_final(code).await;
    }
    let revision = get(&mut client, reversed).await.unwrap().revision;
    resolve(
        &mut client,
        reversed,
        revision,
        TransactionResolution::Reversed,
    )
    .await
    .unwrap();
    let is_review =
        |it: &okebayar_gateway::grpc::v1::Transaction| it.state() == TransactionState::NeedsReview;
    gateway.until(undecided, is_review).await;
    world.set("checks.give_up_after", "60s");
    let open = reference();
    buy(&mut client, &open, PENDING_FOR_EVER).await;

    let gateway = restart_ending(&mut world, gateway, 3).await;
    let mut client = gateway.client().await;
    two_passes(&gateway).await;
    assert_retired(get(&mut client, succeeded).await, "SUCCEEDED");
    assert_retired(get(&mut client, failed).await, "FAILED");
    assert_retired(get(&mut client, reversed).await, "REVERSED");
    let kept = get(&mut client, undecided).await.unwrap();
    assert_eq!(kept.state(), TransactionState::NeedsReview);
    assert!(!get(&mut client, &open).await.unwrap().terminal);
    until_retired(&gateway, "SUCCEEDED", 1).await;
    until_retired(&gateway, "FAILED", 1).await;
    until_retired(&gateway, "REVERSED", 1).await;
    let text = metrics(&gateway).await;
    assert!(
        (sum(&text, "okebayar_retention_retired_total", "") - 3.0).abs() < 0.1,
        "{text}"
    );
    // Nothing outlives its end any more.
    until(&gateway, "okebayar_retention_lag_seconds", "", |lag| {
        lag < 1.0
    })
    .await;
    // It ends once an operator has settled it.
    let kept = get(&mut client, undecided).await.unwrap();
    resolve(
        &mut client,
        undecided,
        kept.revision,
        TransactionResolution::Failed,
    )
    .await
    .unwrap();
    until_retired(&gateway, "FAILED", 2).await;
    assert_retired(get(&mut client, undecided).await, "FAILED");
}

/// The retention counts from the last change.
async fn record_is_kept_until_its_retention_has_passed(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .set("retention.interval", "20ms")
        .set("retention.final", "1h");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    two_passes(&gateway).await;
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    stop(gateway).await;
    world.set("retention.final", "2s");
    let gateway = world.start_gateway().await;
    until_retired(&gateway, "SUCCEEDED", 1).await;
}

/// Nothing was sent, so the reference code is free again.
async fn not_sent_ends_without_tombstone(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    send_quickly(&mut world);
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = try_buy(&mut client, order(&code, PLAIN)).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);
    // Not before its POST would be over by every clock, although its retention has passed.
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.state(), TransactionState::NotSent);
    until_retired(&gateway, "NOT_SENT", 1).await;
    crate::support::world::assert_not_stored(&mut client, &code).await;
    world.start_sandbox().await;
    // With other contents, too.
    let bought = bought(
        try_buy(&mut client, order(&code, "081200000001"))
            .await
            .unwrap(),
    );
    assert_eq!(bought.reference_code, code);
    assert_eq!(world.ledger(&code).await.received, 1);
}

on_both_stores!(
    every_final_state_ends_and_no_other_does,
    record_is_kept_until_its_retention_has_passed,
    not_sent_ends_without_tombstone,
);
