//! Promise 11 under load: one check of a transaction at a time, none lost, and a new check is not
//! delayed by a backlog, a slow account or another gateway.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    config::Settings,
    grpc::v1::{
        GetTransactionRequest, PurchasePrepaidRequest, TransactionState,
        get_transaction_request::Code,
    },
    store::{
        Commit, Store,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{Arming, AttemptToken, Change, Finding, NotSent, Source, Statement, Transaction},
};
use tokio::time::Instant;

use crate::support::{
    accounts::redis_settings,
    core::{RULES, arming, at, begin, schedule, wish},
    on_both_stores, ports,
    process::{CANARY_PIN, PATIENCE, Process},
    world::{
        CALLBACK_LOST, Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS,
        RESET_AND_CALLBACK_LOST, StoreKind, USER_ID, World, assert_succeeded, buy, order,
        reference,
    },
};

/// Creates a world whose sandbox delays its answers to checks.
async fn slow_checks(kind: StoreKind, more: &[&str]) -> World {
    let mut world = World::without_sandbox(kind).await;
    let sandbox = world.sandbox_with(world.sandbox_port, USER_ID, more).await;
    world.sandbox = Some(sandbox);
    world
}

/// Adds another account and starts its sandbox on a port.
async fn second_account(world: &mut World) -> (Process, u16) {
    let port = ports::free();
    let sandbox = world.sandbox_with(port, "second-member", &[]).await;
    let url = format!("http://127.0.0.1:{port}/");
    world
        .set("accounts.second.url", &url)
        .set("accounts.second.userid", "second-member")
        .set("accounts.second.pin", CANARY_PIN);
    (sandbox, port)
}

fn order_of_second(code: &str, account_number: &str) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        account: "second".to_owned(),
        ..order(code, account_number)
    }
}

/// Reads a transaction of an account until it has succeeded.
async fn until_succeeded(client: &mut Client, account: &str, code: &str) {
    let reading = async {
        loop {
            let request = GetTransactionRequest {
                account: account.to_owned(),
                code: Some(Code::ReferenceCode(code.to_owned())),
            };
            let answer = client.get_transaction(request).await.unwrap().into_inner();
            if answer.transaction.unwrap().state() == TransactionState::Succeeded {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the transaction was never checked");
}

/// Sends callbacks about a transaction to every gateway until dropped.
fn flood(gateways: &[Gateway], code: &str) -> tokio::task::JoinSet<()> {
    let mut senders = tokio::task::JoinSet::new();
    for (number, gateway) in gateways.iter().enumerate() {
        let url = format!(
            "http://{}/callbacks/main?referencecode={code}&status=000&tracecode=",
            gateway.callbacks
        );
        senders.spawn(async move {
            let http = reqwest::Client::new();
            for count in 0_u64.. {
                let url = format!("{url}forged-{number}-{count}");
                assert_eq!(http.get(url).send().await.unwrap().status(), 200);
            }
        });
    }
    senders
}

async fn callback_flood_runs_one_check_at_a_time(kind: StoreKind) {
    let mut world = slow_checks(kind, &["--check-delay", "500ms"]).await;
    world.check_rarely();
    let mut gateways = vec![world.start_gateway().await];
    if kind == StoreKind::Redis {
        gateways.push(world.start_replica().await);
    }
    let code = reference();
    buy(&mut gateways[0].client().await, &code, PENDING_FOR_EVER).await;
    let senders = flood(&gateways, &code);
    let entry = world.ask_sandbox(&format!("ledger/{code}?checks=4")).await;
    drop(senders);
    assert!(entry["checks"].as_u64().unwrap() >= 4, "{entry}");
    assert_eq!(entry["checks_at_once"], 1, "{entry}");
}

async fn callback_during_check_schedules_another_check(kind: StoreKind) {
    // The first check finds it pending, and its answer arrives after the transaction settled and
    // was called back: only a second check can settle it.
    let times = ["--check-delay", "5s", "--settle-after", "3s"];
    let mut world = slow_checks(kind, &times).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    let forged = format!("{}?referencecode={code}&status=000", world.callback_url());
    assert_eq!(reqwest::get(&forged).await.unwrap().status(), 200);
    assert_succeeded(&gateway.until_final(&code).await);
    let entry = world.ask_sandbox(&format!("ledger/{code}")).await;
    assert_eq!(entry["checks_at_once"], 1, "{entry}");
}

/// Disables the poll in effect: the reconciler reads the due indexes only when it starts.
fn never_poll(world: &mut World) {
    world.set("checks.poll_interval", "1h");
}

async fn requested_check_starts_without_poll(kind: StoreKind) {
    // Callbacks reach the first gateway, and the purchase is made by the last one.
    let mut world = World::new(kind).await;
    world.check_rarely();
    never_poll(&mut world);
    let mut gateways = vec![world.start_gateway().await];
    if kind == StoreKind::Redis {
        gateways.push(world.start_replica().await);
    }
    let buyer = gateways.last().unwrap();
    let code = reference();
    buy(&mut buyer.client().await, &code, PENDING_THEN_SUCCESS).await;
    assert_succeeded(&buyer.until_final(&code).await);
}

async fn requested_check_starts_without_poll_when_running_one_ends(kind: StoreKind) {
    let times = ["--check-delay", "5s", "--settle-after", "3s"];
    let mut world = slow_checks(kind, &times).await;
    world.check_rarely();
    never_poll(&mut world);
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    let forged = format!("{}?referencecode={code}&status=000", world.callback_url());
    assert_eq!(reqwest::get(&forged).await.unwrap().status(), 200);
    assert_succeeded(&gateway.until_final(&code).await);
}

async fn scheduled_checks_start_without_poll(kind: StoreKind) {
    let mut world = World::new(kind).await;
    never_poll(&mut world);
    let gateway = world.start_gateway().await;
    let mut codes = Vec::new();
    for account_number in [RESET_AND_CALLBACK_LOST, CALLBACK_LOST] {
        let code = reference();
        buy(&mut gateway.client().await, &code, account_number).await;
        codes.push(code);
    }
    for code in codes {
        assert_succeeded(&gateway.until_final(&code).await);
    }
}

fn is_full() -> bool {
    std::env::var_os("OKEBAYAR_FULL").is_some_and(|value| value == "1")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gateway under test reads the clock of this machine"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Fills the store with purchases of the account `main` that a dead process claimed ten minutes
/// ago.
async fn fill(world: &World, count: u32) {
    let settings = Settings::from_pairs([
        ("accounts.main.url", "https://okebayar.example/".to_owned()),
        ("accounts.main.userid", USER_ID.to_owned()),
        ("accounts.main.pin", CANARY_PIN.to_owned()),
    ]);
    let identity = settings.unwrap().identity(uuid::Uuid::from_u128(1));
    let store: Arc<dyn Store> = match &world.redis {
        None => {
            let file = world.store_file();
            Arc::new(RedbStore::open(&file, &identity).await.unwrap())
        }
        Some(redis) => {
            let settings = RedisSettings {
                partitions: 64,
                event_retention: SignedDuration::from_hours(168),
                ..redis_settings(redis)
            };
            Arc::new(RedisStore::open(settings, &identity).await.unwrap())
        }
    };
    let claimed_at = now() - SignedDuration::from_mins(10);
    let claim = |number: u32| {
        let (intent, order) = wish(&format!("backlog-{number:08}"), "PULSA10");
        let arming = Arming {
            token: AttemptToken::new(uuid::Uuid::from_u128(u128::from(number))),
            at: claimed_at,
            is_quarantined: false,
            expire_at: None,
            omits_hyphens: false,
        };
        Transaction::begin(intent, order, arming, RULES, &schedule())
    };
    let commit = async |change: Change| {
        let committed = store.commit(&change, None).await.unwrap();
        assert!(matches!(committed, Commit::Done), "{committed:?}");
    };
    futures::stream::iter(0..count)
        .for_each_concurrent(64, |number| commit(claim(number)))
        .await;
}

/// Returns the value of a metric without labels of its own, or 0 if it is absent.
async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let url = format!("http://{}/metrics", gateway.admin);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_default()
}

const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);

async fn fresh_callback_is_confirmed_within_5_s_despite_backlog(kind: StoreKind) {
    let mut world = slow_checks(kind, &["--check-delay", "300ms"]).await;
    world.check_rarely();
    let count = match kind {
        // The store syncs each of its commits.
        StoreKind::Embedded => 1_000,
        StoreKind::Redis if is_full() => 100_000,
        StoreKind::Redis => 2_000,
    };
    if count < 100_000 {
        // Fewer slots, so that the backlog lasts.
        world.set("limits.checking_max", "16");
    }
    fill(&world, count).await;
    let gateway = world.start_gateway().await;
    let grown = async {
        while metric(&gateway, "okebayar_checks_running").await <= 8.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, grown)
        .await
        .expect("the concurrent checks never reached the expected number");

    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_THEN_SUCCESS).await;
    world
        .ask_sandbox(&format!("ledger/{code}?callbacks=1"))
        .await;
    let called_back = Instant::now();
    assert_succeeded(&gateway.until_final(&code).await);
    let took = called_back.elapsed();
    let due = metric(&gateway, "okebayar_checks_due").await;
    assert!(took < CONFIRMED_WITHIN, "{took:?} with {due} checks due");
    assert!(
        due > 0.0,
        "the backlog ended before the callback was confirmed"
    );
}

#[tokio::test]
async fn slow_account_leaves_check_slots_to_others() {
    let mut world = slow_checks(StoreKind::Redis, &["--check-delay", "1h"]).await;
    world
        .set("default_account", "main")
        .set("limits.checking", "4")
        .set("limits.checking_max", "4");
    let _second = second_account(&mut world).await;
    fill(&world, 50).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // The backlog occupies all of its slots, each for the time-out of 20 s.
    let taken = async {
        while metric(&gateway, "okebayar_checks_running").await < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.unwrap();
    let code = reference();
    let request = order_of_second(&code, CALLBACK_LOST);
    client.purchase_prepaid(request).await.unwrap();
    until_succeeded(&mut client, "second", &code).await;
}

#[tokio::test]
async fn unconfigured_account_acquires_no_lease() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.timeout", "5s")
        .set("checks.pending_first", "4s");
    let without = world.start_replica().await;
    world
        .set("default_account", "main")
        .set("checks.pending_first", "2s");
    let (_second, port) = second_account(&mut world).await;
    let mut with = world.start_gateway().await;
    let foreign = reference();
    let request = order_of_second(&foreign, PENDING_FOR_EVER);
    let mut client = with.client().await;
    client.purchase_prepaid(request).await.unwrap();
    with.process.kill().await;

    // The other gateway checks its own transaction, which is due later, so it has passed the
    // foreign one while that was due.
    let own = reference();
    buy(&mut without.client().await, &own, CALLBACK_LOST).await;
    assert_succeeded(&without.until_final(&own).await);

    let _with = world.start_gateway().await;
    let checked = async {
        loop {
            let url = format!("http://127.0.0.1:{port}/ledger/{foreign}?checks=1");
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
            if entry["checks"].as_u64().unwrap() >= 1 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, checked)
        .await
        .expect("the gateway with the account never made the check");
}

fn report() -> Statement {
    Statement::bare(Source::Callback, Finding::Reported)
}

#[test]
fn check_requested_during_check_runs_afterwards() {
    let pending = Statement::bare(Source::Answer, Finding::Pending);
    let pending = begin(1)
        .transaction
        .observe([pending], at(1), &schedule())
        .unwrap()
        .transaction;
    let ask = |from: &Transaction, seconds| {
        let asked = from.observe_report(report(), false, at(seconds), &schedule());
        asked.unwrap().transaction
    };
    let began = ask(&pending, 100);
    let once = began.observe_check_since(&began, None, at(102), &schedule());
    assert_eq!(once.transaction.asked_at(), None, "that was its check");
    // The requested time is the same, but the request is another.
    let again = ask(&began, 101);
    assert_eq!(again.asked_at(), began.asked_at());
    let ended = again.observe_check_since(&began, None, at(102), &schedule());
    assert_eq!(ended.transaction.asked_at(), Some(at(107)), "5 s later");
    let second = ended
        .transaction
        .observe_check(None, at(107), &schedule())
        .transaction;
    assert_eq!(second.asked_at(), None);
}

#[test]
fn check_of_earlier_attempt_does_not_affect_next_attempt() {
    let first = begin(1).transaction;
    let unsent = Finding::NotSent {
        attempt: 1,
        why: NotSent::Unreachable,
    };
    let unsent = first
        .observe(
            [Statement::bare(Source::Gateway, unsent)],
            at(1),
            &schedule(),
        )
        .unwrap()
        .transaction;
    let again = AttemptToken::new(uuid::Uuid::from_u128(2));
    let (_, order) = wish("reference-1", "PULSA10");
    let armed = unsent
        .arm_again(order, arming(again, 2), &schedule())
        .unwrap()
        .transaction;
    let failed = Statement::bare(
        Source::Check,
        Finding::Failed(okebayar_gateway::transaction::FailureReason::Cancelled),
    );
    let late = armed.observe_check_since(&first, Some(failed), at(3), &schedule());
    assert_eq!(late.transaction.status().state.name(), "SENDING");
}

on_both_stores!(
    callback_flood_runs_one_check_at_a_time,
    callback_during_check_schedules_another_check,
    requested_check_starts_without_poll,
    requested_check_starts_without_poll_when_running_one_ends,
    scheduled_checks_start_without_poll,
    fresh_callback_is_confirmed_within_5_s_despite_backlog,
);
