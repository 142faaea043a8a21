//! Transactions of an account that was removed from the configuration (promise 11).

use okebayar_gateway::{
    grpc::v1::{Transaction, TransactionReason, TransactionState},
    transaction::{ReviewCause, State},
};
use serde_json::Value;

use crate::support::{
    core::{at, begin, schedule},
    on_both_stores, ports,
    process::{CANARY_PIN, PATIENCE, Process},
    world::{
        CALLBACK_LOST, Gateway, PENDING_FOR_EVER, StoreKind, World, assert_succeeded, bought,
        order, reference,
    },
};

#[test]
fn unconfigured_schedule_ends_at_give_up_time() {
    let schedule = schedule();
    let mut current = begin(1).transaction;
    assert!(current.pass_over(at(64), &schedule).is_none());
    for turn in 0.. {
        assert!(turn < 200, "the check is skipped too often");
        let due = current.due_at().unwrap();
        current = current.pass_over(due, &schedule).unwrap().transaction;
        assert_eq!(current.last_checked_at(), None);
        match current.status().state {
            State::Confirming(_) => assert!(current.due_at().unwrap() > due),
            State::NeedsReview { cause, .. } => {
                assert_eq!(cause, ReviewCause::ChecksExhausted);
                assert_eq!((due, current.due_at()), (at(72 * 3600), None));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn skipped_check_does_not_advance_schedule() {
    let schedule = schedule();
    let first = begin(1).transaction;
    let passed = first.pass_over(at(125), &schedule).unwrap().transaction;
    let due = passed.due_at().unwrap();
    assert!(due > at(125));
    let checked = passed.observe_check(None, due, &schedule).transaction;
    // One minute after the first check, plus at most 20 %, and no sooner.
    let next = checked.due_at().unwrap().duration_since(due).as_secs();
    assert!((60..=72).contains(&next), "{next}");
}

/// Adds a second account whose sandbox, on this port, sends no callback by itself.
async fn add_second(world: &mut World, port: u16) -> Process {
    let sandbox = world.sandbox_with(port, "second-member", &[]).await;
    world
        .set("default_account", "main")
        .set("accounts.second.url", &format!("http://127.0.0.1:{port}/"))
        .set("accounts.second.userid", "second-member")
        .set("accounts.second.pin", CANARY_PIN);
    sandbox
}

async fn buy_of_second(gateway: &Gateway, code: &str, number: &str) -> Transaction {
    let mut request = order(code, number);
    request.account = "second".into();
    let answer = gateway.client().await.purchase_prepaid(request).await;
    bought(answer.unwrap().into_inner())
}

const PASSED_OVER: &str = "status check passed over";

/// Waits for the log line about one open transaction of the account `second`.
async fn until_reported(gateway: &mut Gateway) {
    gateway
        .process
        .line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let text = line.to_string();
            let is_it = text.contains("open transactions of an account that is not configured")
                && line["level"] == "WARN"
                && line["account"] == "second"
                && line["count"] == 1;
            is_it.then_some(())
        })
        .await;
}

/// Waits until the gauge of such transactions has a value for a state.
async fn until_counted(gateway: &Gateway, state: &str, wanted: &str) {
    let series = format!("okebayar_transaction_unconfigured_account{{state=\"{state}\"");
    let counted = async {
        loop {
            let url = format!("http://{}/metrics", gateway.admin);
            let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
            let line = metrics.lines().find(|line| line.starts_with(&series));
            if line.is_some_and(|line| line.ends_with(&format!(" {wanted}"))) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .unwrap_or_else(|_| panic!("{state} never reached {wanted}"));
}

async fn unconfigured_account_transaction_escalates_to_review(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let _second = add_second(&mut world, ports::free()).await;
    world
        .set("telemetry.census_interval", "100ms")
        .set("checks.pending_first", "2s")
        .set("checks.give_up_after", "20s")
        .set("checks.unconfigured_grace", "300ms");
    let mut gateway = world.start_gateway().await;
    until_counted(&gateway, "PENDING", "0").await;
    let code = reference();
    let pending = buy_of_second(&gateway, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    gateway.process.kill().await;

    world.remove_account("second");
    let mut gateway = world.start_gateway().await;
    until_reported(&mut gateway).await;
    until_counted(&gateway, "PENDING", "1").await;
    let ended = gateway
        .until(&code, |one| one.state() == TransactionState::NeedsReview)
        .await;
    assert_eq!(ended.reason(), TransactionReason::ChecksExhausted);
    assert!(!ended.safe_to_refund && !ended.next_step().allows_purchase());
    until_counted(&gateway, "PENDING", "0").await;
    until_counted(&gateway, "NEEDS_REVIEW", "1").await;
}

async fn checks_resume_when_account_is_configured_again(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let _second = add_second(&mut world, ports::free()).await;
    // Long enough that the first gateway makes no check before it is killed.
    world
        .set("checks.pending_first", "5s")
        .set("checks.unconfigured_grace", "300ms");
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let pending = buy_of_second(&gateway, &code, CALLBACK_LOST).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    gateway.process.kill().await;

    let account = world.remove_account("second");
    let mut gateway = world.start_gateway().await;
    gateway
        .process
        .line(|line| line.contains(PASSED_OVER).then_some(()))
        .await;
    gateway.process.kill().await;

    for (leaf, value) in account {
        world.set(&format!("accounts.second.{leaf}"), &value);
    }
    let gateway = world.start_gateway().await;
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn unconfigured_gateway_does_not_delay_checks_of_another() {
    let mut world = World::new(StoreKind::Redis).await;
    let port = ports::free();
    let _second = add_second(&mut world, port).await;
    let has_it = world.start_gateway().await;
    world.remove_account("second");
    let lacks_it = world.start_replica().await;
    let code = reference();
    let pending = buy_of_second(&has_it, &code, PENDING_FOR_EVER).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    // Both gateways see each due check. The sandbox waits for the count.
    let url = format!("http://127.0.0.1:{port}/ledger/{code}?checks=12");
    let entry = reqwest::get(url).await.unwrap().text().await.unwrap();
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert!(entry["checks"].as_u64().unwrap() >= 12, "{entry}");
    assert!(!lacks_it.process.text().contains(PASSED_OVER));
}

on_both_stores!(
    unconfigured_account_transaction_escalates_to_review,
    checks_resume_when_account_is_configured_again,
);
