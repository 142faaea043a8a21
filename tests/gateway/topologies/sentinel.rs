//! Promises 1 and 9 under Sentinels: the replication stalls one way, and a replica is promoted that
//! lacks what the primary has acknowledged since.

use std::time::Duration;

use okebayar_gateway::grpc::v1::TransactionState;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::{
    dice::{Dice, seed},
    failover::{assert_quarantined, buy_again, buy_until_sent, guard},
    link::{Direction, Link, Peer},
    poll::until,
    sentinels::Sentinels,
    topologies::use_sentinels,
    world::{
        Client, Gateway, PLAIN, StoreKind, World, assert_refused, assert_succeeded, bought, buy,
        minted, order, try_buy,
    },
};

/// The rounds of a stall and a promotion.
fn rounds() -> usize {
    let is_full = std::env::var_os("OKEBAYAR_FULL").is_some_and(|value| value == "1");
    if is_full { 200 } else { 10 }
}

/// The purchases of a round, some of which begin before the stall.
const PURCHASES: usize = 6;

async fn started(folder: &tempfile::TempDir, acknowledging: &str) -> (World, Sentinels) {
    let sentinels = Sentinels::start(folder.path(), 1).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_sentinels(&mut world, &sentinels);
    world
        .set("store.acknowledging_replicas", acknowledging)
        .set("store.timeout", "1s")
        // An outcome that is lost alone is found by a check once the POST must be over.
        .set("limits.queue_timeout", "1s")
        .set("accounts.main.timeout", "5s")
        .set("accounts.main.connect_timeout", "2s");
    (world, sentinels)
}

/// The reference codes of a round, by what their callers were told before the promotion.
#[derive(Default)]
struct Told {
    succeeded: Vec<String>,
    refused: Vec<String>,
}

/// Buys while the replication of the primary stalls at a random moment.
async fn buy_into_stall(
    dice: &mut Dice,
    sentinels: &Sentinels,
    primary: usize,
    client: &Client,
) -> Told {
    let mut buying = JoinSet::new();
    let before_stall = dice.roll(PURCHASES);
    for number in 0..PURCHASES {
        if number == before_stall {
            let pause = Duration::from_millis(u64::try_from(dice.roll(80)).unwrap());
            tokio::time::sleep(pause).await;
            sentinels.stall_replication(primary);
        }
        let (mut client, code) = (client.clone(), minted(0));
        buying.spawn(async move {
            let answer = try_buy(&mut client, order(&code, PLAIN)).await;
            (code, answer)
        });
    }
    let mut told = Told::default();
    while let Some(answered) = buying.join_next().await {
        let (code, answer) = answered.unwrap();
        match answer {
            Ok(answer) => {
                let transaction = bought(answer);
                assert_succeeded(&transaction);
                told.succeeded.push(code);
            }
            Err(status) => {
                assert_refused(
                    Err::<(), _>(status),
                    Code::Unavailable,
                    "STORE_UNAVAILABLE",
                    "maybe",
                );
                told.refused.push(code);
            }
        }
    }
    told
}

/// Runs the rounds; returns how many purchases were acknowledged, refused and lost.
async fn stall_and_promote(acknowledging: &str) -> (usize, usize, usize) {
    let seed = seed();
    println!("OKEBAYAR_SEED={seed}");
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let (world, sentinels) = started(&folder, acknowledging).await;
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let mut all = Told::default();
    let mut lost = 0;
    for round in 0..rounds() {
        let (one, other) = (&gateways[round % 2], &gateways[(round + 1) % 2]);
        let (client, mut at_other) = (one.client().await, other.client().await);
        // Until both gateways are at the primary and have noticed the last promotion.
        for gateway in &gateways {
            buy_until_sent_over_refusals(&world, gateway).await;
        }
        let primary = sentinels.primary().await;
        let told = buy_into_stall(&mut dice, &sentinels, primary, &client).await;
        let promoted = sentinels.fail_over().await;
        assert_ne!(promoted, primary);
        sentinels.heal(primary);
        sentinels.demote(primary, promoted).await;
        // Now the former primary has dropped what the promoted replica lacks.
        sentinels.await_replicas().await;
        for code in &told.succeeded {
            let transaction = buy_again(&mut at_other, code).await;
            if transaction.state() != TransactionState::Succeeded {
                lost += 1;
                assert_quarantined(&transaction);
            }
            assert_eq!(world.ledger(code).await.received, 1, "{code}; seed {seed}");
        }
        for code in &told.refused {
            assert_eq!(world.ledger(code).await.received, 0, "{code}; seed {seed}");
        }
        let shown = guard(&world, "show").await;
        // It is on, or turns on with the next verification.
        assert!(!shown.contains("the failover guard is off"), "{shown}");
        all.succeeded.extend(told.succeeded);
        all.refused.extend(told.refused);
    }
    for code in all.succeeded.iter().chain(&all.refused) {
        let ledger = world.ledger(code).await;
        assert!(ledger.received <= 1, "{code}: {ledger:?}; seed {seed}");
    }
    let (succeeded, refused) = (all.succeeded.len(), all.refused.len());
    println!("{succeeded} acknowledged, {refused} refused, {lost} lost");
    (succeeded, refused, lost)
}

/// Buys under new reference codes until one is sent.
async fn buy_until_sent_over_refusals(world: &World, gateway: &Gateway) {
    let mut client = gateway.client().await;
    until("a purchase that is accepted", async || {
        let code = minted(0);
        let mut client = client.clone();
        try_buy(&mut client, order(&code, PLAIN)).await.is_ok()
    })
    .await;
    buy_until_sent(world, &mut client, || minted(0)).await;
}

#[tokio::test]
async fn acknowledged_claims_survive_stalls_and_promotions() {
    let (succeeded, refused, lost) = stall_and_promote("all").await;
    assert_eq!(lost, 0);
    assert!(succeeded > 0 && refused > 0, "{succeeded}, {refused}");
}

#[tokio::test]
async fn claims_lost_without_acknowledgement_are_quarantined() {
    let (succeeded, refused, lost) = stall_and_promote("0").await;
    assert_eq!(refused, 0);
    assert!(lost > 0, "none of {succeeded} claims was lost");
}

/// Both sides of a partition get the same reference code: the former primary and its gateway are cut
/// off from the Sentinels, which promote a replica for the other gateway.
async fn received_at_both_sides(acknowledging: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 2).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_sentinels(&mut world, &sentinels);
    world.set("store.acknowledging_replicas", acknowledging);
    let link = Link::open(sentinels.sentinel_port(0)).await;
    world.set("store.url", &format!("redis://127.0.0.1:{}", link.port));
    let cut_off = world.start_gateway().await;
    let mut at_former = cut_off.client().await;
    assert_succeeded(&buy(&mut at_former, &minted(0), PLAIN).await);

    link.hold(Peer::Client, Direction::FromServer);
    sentinels.stall_replication(0);
    sentinels.hide_from_sentinels(0);
    sentinels.await_failover(0).await;
    world.set("store.url", &sentinels.urls());
    let reconnected = world.start_replica().await;
    let mut at_promoted = reconnected.client().await;
    if acknowledging == "all" {
        let refused = try_buy(&mut at_promoted, order(&minted(0), PLAIN)).await;
        assert_refused(refused, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
        // The operator gives the former primary up.
        sentinels.forget_absent().await;
    }
    buy_until_sent_over_refusals(&world, &reconnected).await;

    let code = minted(0);
    let here = try_buy(&mut at_former, order(&code, PLAIN)).await;
    let here_told = format!("{here:#?}");
    let there = bought(
        try_buy(&mut at_promoted, order(&code, PLAIN))
            .await
            .unwrap(),
    );
    if acknowledging != "0" {
        assert_refused(here, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
        assert_succeeded(&there);
    }
    let received = world.ledger(&code).await.received;
    // Printed when the test fails.
    println!("{received} received; cut off: {here_told}; reconnected: {there:#?}");
    received
}

#[tokio::test]
async fn reference_code_at_both_sides_of_partition_is_sent_once_with_acknowledgement() {
    assert_eq!(received_at_both_sides("all").await, 1);
}

#[tokio::test]
async fn reference_code_at_both_sides_of_partition_is_sent_once_with_one_acknowledging_replica() {
    assert_eq!(received_at_both_sides("1").await, 1);
}

/// docs/RELIABILITY.md says so. If this fails, the tests above show nothing.
#[tokio::test]
async fn reference_code_at_both_sides_of_partition_is_sent_twice_without_acknowledgement() {
    assert_eq!(received_at_both_sides("0").await, 2);
}

/// Until every replica follows the promoted one, the Sentinel that leads the failover has two answers.
#[tokio::test]
async fn promoted_replica_is_found_before_the_others_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentinels = Sentinels::start(folder.path(), 2).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_sentinels(&mut world, &sentinels);
    sentinels.set_priority(2, 0).await;
    sentinels.set_option("failover-timeout", "15000").await;
    // The other replica never gets through to the promoted one.
    sentinels.servers[1]
        .link
        .hold(Peer::Replica, Direction::ToServer);
    sentinels.kill(0).await;
    assert_eq!(sentinels.await_failover(0).await, 1);
    world.set("store.url", &sentinels.leader_url().await);
    let gateway = world.start_gateway().await;
    let code = minted(0);
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}
