//! Release N-1 and N on one Redis, mixed, under load: `make upgrade`.
//!
//! Not among the ordinary tests: it needs a build of an earlier commit, which
//! `OKEBAYAR_EARLIER` names.

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

use okebayar_gateway::grpc::v1::{Reason, State, WaitUntil};
use support::world::{
    ANSWER_AND_CALLBACK_LOST, BINARY, CALLBACK_LOST, Client, Gateway, PENDING_THEN_FAILURE,
    PENDING_THEN_SUCCESS, PLAIN, SLOW, StoreKind, WATER, World, assert_succeeded, bought, buy, get,
    order, pay, reference,
};
use tokio::sync::Semaphore;

const PURCHASES: usize = 600;
const AT_ONCE: usize = 24;

/// Buys through whichever gateway is there, again and again, as a caller does.
async fn buy_somewhere(clients: Vec<Client>, code: String, account_number: &'static str) -> State {
    for turn in 0.. {
        let mut client = clients[turn % clients.len()].clone();
        let mut request = order(&code, account_number);
        request.set_wait_until(WaitUntil::Final);
        match client.purchase_prepaid(request).await {
            Ok(answer) => {
                let known = bought(answer.into_inner());
                if known.r#final {
                    return known.state();
                }
            }
            // The gateway that was asked has stopped, or is about to.
            Err(_) => tokio::task::yield_now().await,
        }
        assert!(turn < 100_000, "{code} is never final");
    }
    unreachable!("it always turns")
}

#[tokio::test]
async fn two_releases_share_a_store_through_a_rollout_and_back() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.timeout", "2s")
        .set("limits.queue_timeout", "1s");
    // Two stay, one of each release; two more come and go.
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
            // Twice at once: a duplicate may meet the other release.
            let twin = buy_somewhere(clients.iter().rev().cloned().collect(), code.clone(), kind);
            let (one, two) = tokio::join!(buy_somewhere(clients.clone(), code.clone(), kind), twin);
            assert_eq!(one, two, "{code}");
            (code, kind, one)
        })
    });
    let buying: Vec<_> = buying.collect();
    // A rollout, and back: each stops in order while purchases go on.
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
            State::Failed
        } else {
            State::Succeeded
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

/// What release N holds back, N-1 finds and settles.
#[tokio::test]
async fn the_earlier_release_settles_what_the_later_one_holds_back() {
    let earlier = std::env::var("OKEBAYAR_EARLIER").expect("run `make upgrade`");
    let mut world = World::new(StoreKind::Redis).await;
    // Long enough that the later release does not settle it itself.
    world.set("checks.unknown_first", "8s");
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    // It notices the next time that it looks.
    let warned = |line: &str| line.contains("may have lost records").then_some(());
    gateway.process.line(warned).await;
    let held = buy(&mut client, &code, PLAIN).await;
    assert_eq!(held.reason(), Reason::HeldBack, "{held:#?}");
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());

    let gateway = world.start_release(&earlier).await;
    let mut client = gateway.client().await;
    let read = get(&mut client, &code).await.unwrap();
    assert_eq!(read.state(), State::Confirming, "{read:#?}");
    assert_succeeded(&gateway.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// The notes of an inquiry, its binding and its bill, written by either release.
#[tokio::test]
async fn each_release_pays_what_the_other_one_inquired() {
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
        assert_eq!(paid.state(), State::Succeeded, "{paid:#?}");
        // The other one knows whose inquiry it is now.
        let mut client = releases[asks].client().await;
        let again = pay(&mut client, &reference(), &bill).await.unwrap_err();
        assert_eq!(again.code(), tonic::Code::FailedPrecondition, "{again}");
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}
