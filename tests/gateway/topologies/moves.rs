//! A store that moves from one server to Sentinels or to a cluster, as docs/OPERATIONS.md describes.

use crate::support::{
    failover::{guard, stop},
    poll::until,
    ports,
    redis::Redis,
    sentinels::Sentinels,
    topologies::use_sentinels,
    world::{
        PLAIN, StoreKind, World, assert_succeeded, buy, buy_until_taken, get, minted, reference,
    },
};

#[tokio::test]
async fn standalone_store_moves_under_sentinels_without_a_guard() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 1).await;
    let mut world = World::new(StoreKind::Embedded).await;
    let port = sentinels.servers[0].link.port;
    world
        .set("store.kind", "redis")
        .set("store.url", &format!("redis://127.0.0.1:{port}"))
        .set("store.timeout", "2s");
    let before = world.start_gateway().await;
    let codes = [reference(), reference(), reference()];
    assert_succeeded(&buy(&mut before.client().await, &codes[0], PLAIN).await);

    use_sentinels(&mut world, &sentinels);
    world.set("store.acknowledging_replicas", "all");
    // During a rollout both run.
    let after = world.start_replica().await;
    let mut client = after.client().await;
    assert_succeeded(&get(&mut client, &codes[0]).await.unwrap());
    assert_succeeded(&buy(&mut before.client().await, &codes[1], PLAIN).await);
    assert_succeeded(&buy(&mut client, &codes[1], PLAIN).await);
    assert_succeeded(&buy(&mut client, &codes[2], PLAIN).await);
    let shown = guard(&world, "show").await;
    assert!(shown.contains("the failover guard is off"), "{shown}");
    stop(before).await;

    sentinels.fail_over().await;
    sentinels.await_replicas().await;
    for code in &codes {
        assert_succeeded(&buy_until_taken(&mut client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

/// Gives the server of a cluster all slots that it does not have yet. It has those of its keys.
async fn add_missing_slots(redis: &Redis) {
    let nodes: String = redis.ask(&["CLUSTER", "NODES"]).await.unwrap();
    let words = nodes.trim().split(' ').skip(8);
    let mut owned: Vec<(u16, u16)> = words
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse().unwrap(), last.parse().unwrap())
        })
        .collect();
    assert!(!owned.is_empty(), "it has no key: {nodes}");
    owned.push((16_384, 16_384));
    let mut next = 0;
    for (first, last) in owned {
        if next < first {
            let (next, end) = (next.to_string(), (first - 1).to_string());
            redis
                .command(&["CLUSTER", "ADDSLOTSRANGE", &next, &end])
                .await;
        }
        next = last + 1;
    }
    until("a cluster in service", async || {
        let info: String = redis.ask(&["CLUSTER", "INFO"]).await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
}

#[tokio::test]
async fn standalone_store_becomes_a_cluster_in_place() {
    let mut world = World::new(StoreKind::Redis).await;
    let folder = tempfile::tempdir().unwrap();
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start_with(folder.path(), &durable).await;
    world.set("store.url", &redis.url);
    let before = world.start_gateway().await;
    let codes: Vec<String> = (0..5).map(|_| reference()).collect();
    for code in &codes {
        assert_succeeded(&buy(&mut before.client().await, code, PLAIN).await);
    }
    stop(before).await;
    let count = redis.count().await;
    redis.kill().await;

    let bus = ports::free().to_string();
    let clustered = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let arguments = [durable.as_slice(), &clustered].concat();
    let redis = Redis::start_on(redis.port(), folder.path(), &arguments).await;
    assert_eq!(redis.count().await, count);
    add_missing_slots(&redis).await;
    world
        .set("store.topology", "cluster")
        .set("store.url", &redis.url);
    let after = world.start_gateway().await;
    let mut client = after.client().await;
    // It restarted, and lost nothing.
    let shown = guard(&world, "show").await;
    assert!(shown.contains("the failover guard is on"), "{shown}");
    guard(&world, "end").await;
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    let code = minted(0);
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}
