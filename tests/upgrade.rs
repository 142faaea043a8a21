//! Release N-1 and N on one Redis, mixed, under load: `make upgrade`.
//!
//! Not part of the ordinary tests: it requires a build of an earlier commit, whose path
//! `OKEBAYAR_EARLIER` holds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the support is shared"
)]

#[path = "gateway/support/mod.rs"]
mod support;

use std::sync::Arc;

use okebayar_gateway::grpc::v1::{TransactionReason, TransactionState, WaitUntil};
use support::world::{
    ANSWER_AND_CALLBACK_LOST, BINARY, CALLBACK_LOST, Client, Gateway, PENDING_THEN_FAILURE,
    PENDING_THEN_SUCCESS, PLAIN, SLOW, StoreKind, WATER, World, assert_succeeded, bought, buy, get,
    order, pay, reference,
};
use support::{accounts::refused, process::Process};
use tokio::sync::Semaphore;

const PURCHASES: usize = 600;
const AT_ONCE: usize = 24;

/// Retries a purchase through the gateways in turn, as a caller does, until it is final.
async fn buy_somewhere(
    clients: Vec<Client>,
    code: String,
    account_number: &'static str,
) -> TransactionState {
    for turn in 0.. {
        let mut client = clients[turn % clients.len()].clone();
        let mut request = order(&code, account_number);
        request.set_wait_until(WaitUntil::Terminal);
        match client.purchase_prepaid(request).await {
            Ok(answer) => {
                let known = bought(answer.into_inner());
                if known.terminal {
                    return known.state();
                }
            }
            // This gateway has stopped or is stopping.
            Err(_) => tokio::task::yield_now().await,
        }
        assert!(turn < 100_000, "{code} never became final");
    }
    unreachable!("the loop has no end")
}

#[tokio::test]
async fn two_releases_share_a_store_during_rollout_and_rollback() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.timeout", "2s")
        .set("limits.queue_timeout", "1s");
    // Two gateways stay, one of each release; others start and stop.
    let stays = [
        world.start_release(&earlier).await,
        world.start_gateway().await,
    ];
    let mut clients = Vec::new();
    for gateway in &stays {
        clients.push(gateway.client().await);
    }
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let kinds = [
        PLAIN,
        PENDING_THEN_SUCCESS,
        PENDING_THEN_FAILURE,
        CALLBACK_LOST,
        ANSWER_AND_CALLBACK_LOST,
        SLOW,
    ];
    let buying = (0..PURCHASES).map(|number| {
        let (mut clients, slots) = (clients.clone(), Arc::clone(&slots));
        clients.rotate_left(number % stays.len());
        tokio::spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let (code, kind) = (reference(), kinds[number % kinds.len()]);
            // Concurrent duplicates: the second one may reach the other release.
            let twin = buy_somewhere(clients.iter().rev().cloned().collect(), code.clone(), kind);
            let (one, two) = tokio::join!(buy_somewhere(clients.clone(), code.clone(), kind), twin);
            assert_eq!(one, two, "{code}");
            (code, kind, one)
        })
    });
    let buying: Vec<_> = buying.collect();
    // A rollout and a rollback: each gateway stops while purchases continue.
    for release in [&earlier, BINARY, &earlier, BINARY] {
        let mut passing: Gateway = world.start_release(release).await;
        let mut client = passing.client().await;
        for _ in 0..10 {
            let request = order(&reference(), PLAIN);
            client.purchase_prepaid(request).await.unwrap();
        }
        passing.process.signal("-TERM");
        assert!(passing.process.ended().await.success());
    }
    for bought in buying {
        let (code, kind, state) = bought.await.unwrap();
        let failed = kind == PENDING_THEN_FAILURE;
        let expected = if failed {
            TransactionState::Failed
        } else {
            TransactionState::Succeeded
        };
        assert_eq!(state, expected, "{kind}");
        let ledger = world.ledger(&code).await;
        assert_eq!(
            (ledger.received, ledger.executed),
            (1, u64::from(!failed)),
            "{kind}"
        );
    }
}

/// Release N quarantines a purchase; release N-1 finds and settles it.
#[tokio::test]
async fn purchase_quarantined_by_later_release_is_settled_by_earlier_one() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let mut world = World::new(StoreKind::Redis).await;
    // Long enough that the later release does not settle the purchase itself.
    world.set("checks.unknown_first", "8s");
    world.redis.as_ref().unwrap().use_schema_3().await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    world.flush_redis().await;
    // The next verification detects the loss.
    let warned = |line: &str| line.contains("may have lost records").then_some(());
    gateway.process.line(warned).await;
    let held = buy(&mut client, &code, PLAIN).await;
    assert_eq!(held.reason(), TransactionReason::Quarantined, "{held:#?}");
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());

    let gateway = world.start_release(&earlier).await;
    let mut client = gateway.client().await;
    let read = get(&mut client, &code).await.unwrap();
    assert_eq!(read.state(), TransactionState::Confirming, "{read:#?}");
    assert_succeeded(&gateway.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// Either release reads the notes of an inquiry, its binding and its bill that the other one wrote.
#[tokio::test]
async fn bill_inquired_by_one_release_is_paid_by_the_other() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let world = World::new(StoreKind::Redis).await;
    let releases = [
        world.start_release(&earlier).await,
        world.start_gateway().await,
    ];
    for (asks, pays) in [(0, 1), (1, 0)] {
        let bill = releases[asks].bill(WATER, &format!("77000{asks}")).await;
        let code = reference();
        let mut client = releases[pays].client().await;
        let paid = pay(&mut client, &code, &bill).await.unwrap();
        assert_eq!(paid.state(), TransactionState::Succeeded, "{paid:#?}");
        // The other release sees that the inquiry is bound.
        let mut client = releases[asks].client().await;
        let again = pay(&mut client, &reference(), &bill).await.unwrap_err();
        assert_eq!(again.code(), tonic::Code::FailedPrecondition, "{again}");
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

/// The upgrade of the store is refused while release N-1 is connected. One that was not seen refuses
/// the store by itself: at its next verification, and at its next start.
#[tokio::test]
async fn earlier_release_is_seen_by_upgrade_and_refuses_upgraded_store() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let world = World::new(StoreKind::Redis).await;
    let mut before = world.start_release(&earlier).await;
    let code = reference();
    assert_succeeded(&buy(&mut before.client().await, &code, PLAIN).await);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    let output = refused(&world, &["store", "upgrade", "--yes"]).await;
    assert!(
        output.contains("1 gateways of an earlier release"),
        "{output}"
    );

    // As if it had been unreachable for a moment.
    let redis = world.redis.as_ref().unwrap();
    redis
        .command(&["HSET", "okb:identity", "schema", "4"])
        .await;
    before.readiness(503).await;
    let new = order(&reference(), PLAIN);
    let refusal = before.client().await.purchase_prepaid(new).await;
    assert_eq!(refusal.unwrap_err().code(), tonic::Code::Unavailable);
    let upgraded = async {
        loop {
            let made = buy(&mut client, &reference(), PLAIN).await;
            assert_succeeded(&made);
            // It cannot read what is compact.
            let read = get(&mut before.client().await, &made.reference_code).await;
            if read.is_err() {
                break made;
            }
        }
    };
    let made = tokio::time::timeout(support::process::PATIENCE, upgraded).await;
    let made = made.expect("the later release never wrote a compact record");
    let again = order(&made.reference_code, PLAIN);
    let refusal = before.client().await.purchase_prepaid(again).await;
    assert!(refusal.is_err(), "{refusal:?}");
    assert_eq!(world.ledger(&made.reference_code).await.received, 1);
    assert_succeeded(&get(&mut client, &made.reference_code).await.unwrap());
    before.process.kill().await;
    let mut environment = world.environment();
    environment.retain(|(name, _)| !name.ends_with("CALLBACKS__LISTEN"));
    let mut process = Process::start(&earlier, &["serve"], &environment, world.path());
    assert!(!process.ended().await.success());
    assert!(
        process.text().contains("it has schema 4"),
        "{}",
        process.text()
    );
}
