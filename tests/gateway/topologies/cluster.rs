//! Promises 1 and 3 on a Redis Cluster: a slot that moves, a master that dies, a shard that is down.

use std::time::Duration;

use jiff::SignedDuration;
use okebayar_gateway::{
    ambient::Ambient,
    failover::VERIFY_TIMEOUT,
    grpc::v1::{
        TransactionReason, TransactionState, WatchTransactionsRequest, WatchTransactionsResponse,
    },
    store::{
        BoundedList, CasResult, Expiry, Store,
        epoch::Seal,
        mark_name,
        redis::{RedisSettings, RedisStore, RedisTopology},
    },
};
use tonic::Code;

use crate::{
    store::contract::identity,
    support::{
        accounts::redis_settings_at,
        bills::key,
        failover::guard,
        poll::until,
        redis_cluster::RedisCluster,
        topologies::{Customers, assert_bought_once, code_at, tag_of, use_cluster},
        world::{
            PLAIN, StoreKind, World, assert_refused, assert_succeeded, buy, buy_until_taken,
            error_info, get, minted, order,
        },
    },
};

#[tokio::test]
async fn purchases_go_on_while_a_slot_moves_and_a_master_dies() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 1).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    world.set("store.acknowledging_replicas", "all");
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let customers = Customers::start(&gateways.each_ref().map(|gateway| gateway.grpc), 3);
    customers.await_answers(30).await;

    let newcomer = cluster.add_master().await;
    let its_replica = cluster.add_replica(newcomer).await;
    let slot = cluster.slot_of("{7}").await;
    let moving = cluster.begin_move(slot, newcomer).await;
    // Half of the keys, or one fewer, stay behind for a while.
    let left = moving.step(1).await;
    moving.step(usize::try_from(left / 2).unwrap()).await;
    customers.await_answers(30).await;
    while moving.step(100).await > 0 {}
    moving.finish().await;
    customers.await_answers(30).await;

    let killed = cluster.owner(cluster.slot_of("{8}").await).await;
    cluster.kill(killed).await;
    cluster.await_well().await;
    // The promoted replica has none of its own: nobody could acknowledge a claim there.
    let alone = cluster.owner(cluster.slot_of("{8}").await).await;
    let mut client = gateways[1].client().await;
    let code = code_at(&cluster, alone).await;
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    // `sent` is `maybe` as soon as the gateway has noticed the promotion, which may have lost a record.
    assert_eq!(error_info(&refused).0, "STORE_UNAVAILABLE");
    assert_eq!(world.ledger(&code).await.received, 0);
    cluster.start_again(killed).await;
    cluster.await_well().await;
    customers.await_answers(60).await;

    let all = customers.end().await;
    let received = assert_bought_once(&world, &all).await;
    let refused = all.iter().filter(|bought| bought.refused > 0).count();
    println!(
        "{received} of {} were bought, {refused} after a refusal",
        all.len()
    );
    assert!(received > 120, "only {received} of {}", all.len());
    // A replay finds each of them, whatever moved or died.
    for bought in &all {
        let replayed = buy_until_taken(&mut client, &bought.code, PLAIN).await;
        if bought.state == TransactionState::Succeeded {
            assert_succeeded(&replayed);
        }
    }
    assert_bought_once(&world, &all).await;
    // Every partition serves again, the moved one included.
    assert_ne!(its_replica, alone);
    for number in [0, 1, 2, newcomer, alone] {
        if number != killed {
            let code = code_at(&cluster, number).await;
            assert_succeeded(&buy(&mut client, &code, PLAIN).await);
        }
    }
}

#[tokio::test]
async fn moved_slot_turns_no_guard_on_at_two_gateways() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 2, 0).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let code = minted(0);
    for gateway in &gateways {
        assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    }
    let slot = cluster.slot_of(&tag_of(&code)).await;
    let from = cluster.owner(slot).await;
    let moving = cluster.begin_move(slot, 1 - from).await;
    while moving.step(100).await > 0 {}
    moving.finish().await;
    // Each claim there names the former server, and so has its gateway observe the epoch.
    for gateway in &gateways {
        let mut there = minted(0);
        while tag_of(&there) != tag_of(&code) {
            there = minted(0);
        }
        let taken = buy_until_taken(&mut gateway.client().await, &there, PLAIN).await;
        assert_succeeded(&taken);
    }
    let shown = guard(&world, "show").await;
    assert!(shown.contains("the failover guard is off"), "{shown}");
}

/// A record may have been moved to the server that dies, while its partition belongs to another one.
#[tokio::test]
async fn loss_while_a_slot_is_half_moved_is_of_the_whole_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 1).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = code_at(&cluster, 0).await;
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    let slot = cluster.slot_of(&tag_of(&code)).await;
    let moving = cluster.begin_move(slot, 1).await;
    moving.step(1).await;
    cluster.kill(1).await;
    cluster.await_well().await;
    // The third shard is not concerned, and quarantines as well.
    until("a guard for the whole store", async || {
        let (mut client, code) = (client.clone(), code_at(&cluster, 2).await);
        let bought = buy_until_taken(&mut client, &code, PLAIN).await;
        bought.reason() == TransactionReason::Quarantined
    })
    .await;
}

#[tokio::test]
async fn subscription_leaves_a_server_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 2, 0).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    let _gateway = world.start_gateway().await;
    until("a subscription at the first server", async || {
        cluster.nodes[0].redis.subscribers("okb:wake").await == 1
    })
    .await;
    cluster.freeze(0);
    until("a subscription at the other server", async || {
        cluster.nodes[1].redis.subscribers("okb:wake").await == 1
    })
    .await;
}

#[tokio::test]
async fn list_is_extended_at_once_where_its_slot_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 2, 0).await;
    let settings = RedisSettings {
        topology: RedisTopology::Cluster,
        ..redis_settings_at(&cluster.urls())
    };
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    store.push(BoundedList::Orphans, "1").await.unwrap();
    let slot = cluster.slot_of("okb:orphans").await;
    let moving = cluster
        .begin_move(slot, 1 - cluster.owner(slot).await)
        .await;
    while moving.step(100).await > 0 {}
    store.push(BoundedList::Orphans, "2").await.unwrap();
    moving.finish().await;
    store.push(BoundedList::Orphans, "3").await.unwrap();
    let items = store.items_from(BoundedList::Orphans, 0, 10).await;
    let items: Vec<String> = items.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(items, ["3", "2", "1"]);
}

/// A commit takes several keys, and a half-moved slot has them all at neither server.
#[tokio::test]
async fn half_moved_slot_refuses_its_references_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 2, 0).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let bought = minted(0);
    assert_succeeded(&buy(&mut client, &bought, PLAIN).await);
    let tag = tag_of(&bought);
    let slot = cluster.slot_of(&tag).await;
    let from = cluster.owner(slot).await;
    let watched = client.watch_transactions(WatchTransactionsRequest::default());
    let mut updates = watched.await.unwrap().into_inner();
    updates.message().await.unwrap();
    let moving = cluster.begin_move(slot, 1 - from).await;
    moving.step(1).await;

    // What is stored is read wherever it is.
    assert_succeeded(&get(&mut client, &bought).await.unwrap());
    let (mut here, mut elsewhere) = (minted(0), minted(0));
    while tag_of(&here) != tag {
        here = minted(0);
    }
    while tag_of(&elsewhere) == tag {
        elsewhere = minted(0);
    }
    let refused = client.purchase_prepaid(order(&here, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    assert_eq!(world.ledger(&here).await.received, 0);
    assert_succeeded(&buy(&mut client, &elsewhere, PLAIN).await);

    // The events of the other slots at the same server are read as well.
    while moving.step(1).await > 1 {}
    let elsewhere_too = loop {
        let code = code_at(&cluster, from).await;
        if tag_of(&code) != tag {
            break code;
        }
    };
    assert_succeeded(&buy(&mut client, &elsewhere_too, PLAIN).await);
    let is_event = |update: WatchTransactionsResponse| {
        let changed = update.transaction;
        changed.is_some_and(|changed| changed.reference_code == elsewhere_too)
    };
    while !is_event(updates.message().await.unwrap().unwrap()) {}

    while moving.step(100).await > 0 {}
    moving.finish().await;
    assert_succeeded(&buy_until_taken(&mut client, &here, PLAIN).await);
    for code in [&bought, &here, &elsewhere] {
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

#[tokio::test]
async fn shard_that_is_down_refuses_its_references_alone() {
    one_shard_is_down("2s", "okb:identity").await;
}

#[tokio::test]
async fn shard_of_the_epochs_note_that_hangs_refuses_its_references_alone() {
    one_shard_is_down("3s", &format!("okb:{}:note:guard", tag_of("guard"))).await;
}

#[tokio::test]
async fn shard_of_the_identity_that_hangs_refuses_its_references_alone() {
    one_shard_is_down("3s", "okb:identity").await;
}

/// Freezes the shard of a key.
async fn one_shard_is_down(timeout: &str, key: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 0).await;
    let down = cluster.owner(cluster.slot_of(key).await).await;
    let others = [(down + 1) % 3, (down + 2) % 3];
    let mut world = World::new(StoreKind::Embedded).await;
    use_cluster(&mut world, &cluster);
    world.set("store.timeout", timeout);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let codes = [
        code_at(&cluster, down).await,
        code_at(&cluster, others[0]).await,
        code_at(&cluster, others[1]).await,
    ];
    assert_succeeded(&buy(&mut client, &codes[0], PLAIN).await);
    let address = format!("127.0.0.1:{}", cluster.nodes[down].redis.port());
    let at_first = code_at(&cluster, down).await;
    let at_second = code_at(&cluster, others[0]).await;
    cluster.freeze(down);
    until("a report of the shard", async || {
        let url = format!("http://{}/readyz", gateway.admin);
        let answer = reqwest::get(url).await.unwrap();
        // The other shards are served.
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap().contains(&address)
    })
    .await;
    let refused = client.purchase_prepaid(order(&at_first, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "STORE_UNAVAILABLE", "maybe");
    let unread = get(&mut client, &codes[0]).await;
    assert_eq!(unread.unwrap_err().code(), Code::Unavailable);
    assert_eq!(world.ledger(&at_first).await.received, 0);
    for code in [&codes[1], &codes[2], &at_second] {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }

    cluster.thaw(down);
    assert_succeeded(&buy_until_taken(&mut client, &at_first, PLAIN).await);
    assert_succeeded(&get(&mut client, &codes[0]).await.unwrap());
    for code in codes.iter().chain([&at_first, &at_second]) {
        assert_eq!(world.ledger(code).await.received, 1);
    }
    until("no report of the shard", async || {
        !gateway.readiness(200).await.contains(&address)
    })
    .await;
}

/// Each step waits for the server that hangs at most once, so that the others are served.
#[tokio::test]
async fn verification_and_observation_wait_for_a_hung_shard_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 0).await;
    let settings = RedisSettings {
        topology: RedisTopology::Cluster,
        timeout: Duration::from_secs(3),
        ..redis_settings_at(&cluster.urls())
    };
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    let known = store.epoch(None).await.unwrap().name;
    cluster.freeze(cluster.owner(cluster.slot_of("okb:identity").await).await);
    let observing = async {
        assert_eq!(store.verify().await.unwrap().len(), 1);
        assert!(store.seals().await.unwrap().contains(&Seal::Unknown));
        assert_eq!(store.epoch(Some(&known)).await.unwrap().name, known);
    };
    let observed = tokio::time::timeout(VERIFY_TIMEOUT, observing).await;
    observed.expect("the verification takes longer than its time-out");
}

/// A claim that a promoted replica has was made after the mark, so it has the mark as well.
#[tokio::test]
async fn mark_of_inquiry_lies_with_the_record_of_its_reference_code() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 3, 0).await;
    let settings = RedisSettings {
        topology: RedisTopology::Cluster,
        partitions: 64,
        ..redis_settings_at(&cluster.urls())
    };
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    let now = (Ambient::system().now)();
    let keep = Expiry {
        now,
        until: now + SignedDuration::from_hours(1),
    };
    let put = async |name: &str, from: Option<&str>, to: &str| {
        store.put_note(name, from, to, keep).await.unwrap()
    };
    for number in 0..8 {
        let code = minted(0);
        let name = mark_name(&key(&code));
        // A store that was restarted as a cluster has marks by their names.
        let former = format!("okb:{}:note:{name}", tag_of(&name));
        let is_old = number % 2 == 0;
        if is_old {
            let slot = cluster.slot_of(&former).await;
            let () = cluster.ask_owner(slot, &["SET", &former, "old"]).await;
            assert_eq!(store.note(&name).await.unwrap().as_deref(), Some("old"));
            let conflict = CasResult::Conflict(Some("old".to_owned()));
            assert_eq!(put(&name, None, "new").await, conflict);
            assert_eq!(put(&name, Some("other"), "new").await, conflict);
        }
        let from = is_old.then_some("old");
        assert_eq!(put(&name, from, "new").await, CasResult::Done);
        assert_eq!(store.note(&name).await.unwrap().as_deref(), Some("new"));
        let present = format!("okb:{}:note:{name}", tag_of(&code));
        let slot = cluster.slot_of(&present).await;
        let stored: String = cluster.ask_owner(slot, &["GET", &present]).await;
        assert_eq!(stored, "new");
    }
}
