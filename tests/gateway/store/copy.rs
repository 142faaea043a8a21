//! `store copy`: everything moves to another store, and no gateway uses the former one any more.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::SignedDuration;
use okebayar_gateway::{
    grpc::v1::{Transaction, TransactionReason, TransactionState},
    store::{
        Commit, Expiry, Identity, Retirement, Store, StoreError, Tombstone,
        epoch::moved_seal,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{self as domain, AccountNames, FailureReason, Finding, Source, Statement},
};

use super::contract::{done, open_redis, pending};
use crate::support::{
    accounts::redis_settings,
    core::{at, begin, schedule},
    failover::{self, guard, proxy_redis, short_skew, stop},
    process::PATIENCE,
    redis::Redis,
    redis_cluster::RedisCluster,
    store_command::{Target, run_store, serve_refused, start_store, store_done, store_refused},
    world::{
        Client, PENDING_FOR_EVER, PLAIN, StoreKind, TWO_BILLS, WATER, World, assert_succeeded, buy,
        get, minted, order, payment, reference,
    },
};

/// Buys in every state that the target must keep, and returns the transactions.
async fn fill(world: &World) -> Vec<Transaction> {
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut codes = Vec::new();
    for account_number in [PLAIN, PLAIN, PENDING_FOR_EVER] {
        let code = reference();
        buy(&mut client, &code, account_number).await;
        codes.push(code);
    }
    let bill = gateway.bill(WATER, TWO_BILLS).await;
    let code = reference();
    client.pay_postpaid(payment(&code, &bill)).await.unwrap();
    codes.push(code);
    let mut stored = Vec::new();
    for code in codes {
        stored.push(get(&mut client, &code).await.unwrap());
    }
    stop(gateway).await;
    stored
}

/// Asserts that a gateway on the target has the transactions, and buys each new one once.
async fn assert_moved(world: &World, stored: &[Transaction]) {
    let verified = store_done(world, &["verify"]).await;
    assert!(verified.contains("the store is consistent"), "{verified}");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for before in stored {
        let code = &before.reference_code;
        let after = get(&mut client, code).await.unwrap();
        assert_eq!(after.create_time, before.create_time);
        assert_eq!(after.trace_code, before.trace_code);
        assert!(after.revision >= before.revision);
        assert_eq!(world.ledger(code).await.received, 1);
        if before.state() == TransactionState::Succeeded {
            assert_eq!(after.serial_number, before.serial_number);
        }
    }
    let first = &stored[0].reference_code;
    let replay = client.purchase_prepaid(order(first, PLAIN)).await.unwrap();
    assert!(replay.into_inner().replayed);
    assert_eq!(world.ledger(first).await.received, 1);
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
    stop(gateway).await;
}

async fn assert_copies(mut world: World, target: &Target) {
    let stored = fill(&world).await;
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains("copied: 4 records (0 were"), "{copied}");
    assert!(copied.contains("compared: 4 records"), "{copied}");

    let refused = serve_refused(&world).await;
    assert!(refused.contains("was moved to"), "{refused}");
    let refused = store_refused(&world, &["copy", "--cancel"]).await;
    assert!(refused.contains("nothing is changed"), "{refused}");
    // Once more, as after a crash that nobody noticed.
    store_done(&world, &target.arguments()).await;

    target.configure(&mut world);
    assert_moved(&world, &stored).await;
}

#[tokio::test]
async fn embedded_store_moves_to_redis() {
    let world = World::new(StoreKind::Embedded).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    assert_copies(world, &target).await;
}

#[tokio::test]
async fn redis_moves_to_redis_with_other_partitions() {
    let world = World::new(StoreKind::Redis).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    assert_copies(world, &target).await;
}

#[tokio::test]
async fn redis_moves_to_embedded_store() {
    let world = World::new(StoreKind::Redis).await;
    let target = Target::embedded(&world);
    assert_copies(world, &target).await;
}

#[tokio::test]
async fn embedded_store_moves_to_embedded_store() {
    let world = World::new(StoreKind::Embedded).await;
    let target = Target::embedded(&world);
    assert_copies(world, &target).await;
}

#[tokio::test]
async fn embedded_store_moves_to_a_cluster_and_back() {
    let mut world = World::new(StoreKind::Embedded).await;
    let stored = fill(&world).await;
    let cluster = RedisCluster::start(world.path(), 3, 0).await;
    let target = Target::cluster(&world, &cluster.urls());
    store_done(&world, &target.arguments()).await;
    target.configure(&mut world);
    assert_moved(&world, &stored).await;

    let stats = store_done(&world, &["stats"]).await;
    assert!(stats.contains("in 5 entries"), "{stats}");
    let target = Target::embedded(&world);
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains("copied: 5 records"), "{copied}");
    world.unset("store.topology");
    target.configure(&mut world);
    assert_moved(&world, &stored).await;
}

#[tokio::test]
async fn guard_that_is_on_stays_on_in_target() {
    let mut world = World::new(StoreKind::Embedded).await;
    short_skew(&mut world);
    let stored = fill(&world).await;
    guard(&world, "start").await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    store_done(&world, &target.arguments()).await;
    target.configure(&mut world);
    assert!(guard(&world, "show").await.contains("is on since"));
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // A reference code that is not provably newer than the loss.
    let bought = buy(&mut client, &minted(-3_600_000), PLAIN).await;
    assert_eq!(bought.reason(), TransactionReason::Quarantined);
    for before in stored {
        get(&mut client, &before.reference_code).await.unwrap();
    }
}

/// Lists and notes move too: a text of OKEBAYAR, the reason for which an operator ended the guard, a
/// binding.
#[tokio::test]
async fn lists_and_notes_move() {
    let mut world = World::new(StoreKind::Embedded).await;
    fill(&world).await;
    guard(&world, "start").await;
    guard(&world, "end").await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains(" 2 list items"), "{copied}");
    assert!(!copied.contains(" 0 notes"), "{copied}");
    target.configure(&mut world);
    assert!(guard(&world, "show").await.contains(failover::REASON));
}

#[tokio::test]
async fn copy_is_refused_while_a_gateway_runs() {
    let mut world = World::new(StoreKind::Redis).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let gateway = world.start_gateway().await;
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("stop every gateway"), "{refused}");
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    assert_eq!(redis.count().await, 0, "nothing is written to the target");

    // A gateway at the target, which is not the source.
    stop(gateway).await;
    let source = world.setting("store.url");
    world
        .set("store.url", &redis.url)
        .set("store.partitions", "16");
    let gateway = world.start_gateway().await;
    world.set("store.url", &source).unset("store.partitions");
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("stop every gateway"), "{refused}");
    stop(gateway).await;
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("name an empty store"), "{refused}");
    // The source is unchanged.
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
}

#[tokio::test]
async fn copy_of_embedded_store_is_refused_while_its_gateway_runs() {
    let world = World::new(StoreKind::Embedded).await;
    let target = Target::embedded(&world);
    let gateway = world.start_gateway().await;
    let refused = store_refused(&world, &target.arguments()).await;
    assert!(refused.contains("stop the gateway first"), "{refused}");
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
}

/// A gateway that was stopped a moment ago, or is cut off, is not subscribed, but present.
#[tokio::test]
async fn presence_of_a_gateway_must_end_before_a_copy() {
    let world = World::new(StoreKind::Redis).await;
    fill(&world).await;
    let redis = world.redis.as_ref().unwrap();
    let target = Target::embedded(&world);
    let renewing = async {
        loop {
            present(redis, 1_000).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let arguments = target.arguments();
    let refusing = store_refused(&world, &arguments);
    let refused = tokio::select! {
        () = renewing => unreachable!(),
        refused = refusing => refused,
    };
    assert!(refused.contains("1 gateways still verify it"), "{refused}");
    present(redis, 1_000).await;
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains("waiting"), "{copied}");
}

/// Plants the only presence, which ends after this time.
async fn present(redis: &Redis, left_ms: u64) {
    let left_ms = left_ms.to_string();
    redis
        .command(&["SET", "okb:gateway:planted", "1", "PX", &left_ms])
        .await;
}

/// Returns the keys of the presences.
async fn presences(redis: &Redis) -> Vec<String> {
    redis.ask(&["KEYS", "okb:gateway:*"]).await.unwrap()
}

/// A gateway registers itself, so that a copy finds it while it is not subscribed.
#[tokio::test]
async fn running_gateway_is_present() {
    let world = World::new(StoreKind::Redis).await;
    let redis = world.redis.as_ref().unwrap();
    let _gateway = world.start_gateway().await;
    let present = async {
        while presences(redis).await.len() != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, present).await.unwrap();
}

/// A gateway that is frozen and cut off during the copy cannot be seen. When it continues, it buys
/// nothing: neither its claim nor its observation of the store is accepted.
#[tokio::test]
async fn frozen_gateway_buys_nothing_in_source_after_copy() {
    let mut world = World::new(StoreKind::Redis).await;
    let direct = world.setting("store.url");
    let proxy = proxy_redis(&mut world).await;
    let frozen = world.start_gateway().await;
    let mut client = frozen.client().await;
    assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
    let open = reference();
    buy(&mut client, &open, PENDING_FOR_EVER).await;

    frozen.process.signal("-STOP");
    let port = world.redis.as_ref().unwrap().port();
    proxy.target.send_replace(1);
    let redis = world.redis.as_ref().unwrap();
    for presence in presences(redis).await {
        redis.command(&["DEL", &presence]).await;
    }
    world.set("store.url", &direct);
    let target_redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &target_redis.url);
    let copied = copy_unsubscribed(&world, &target).await;
    assert!(copied.contains("copied: 2 records"), "{copied}");

    proxy.target.send_replace(port);
    frozen.process.signal("-CONT");
    for _ in 0..20 {
        let code = reference();
        let refused = try_purchase(&mut client, &code).await;
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(world.ledger(&code).await.received, 0);
    }
    let told = frozen.readiness(503).await;
    assert!(!told.is_empty());
    frozen
        .process
        .output()
        .iter()
        .find(|line| line.contains("moved to"))
        .expect("it logs that the store was moved");
    // The target is in use, and knows the open transaction.
    target.configure(&mut world);
    world.set("callbacks.listen", "127.0.0.1:0");
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    get(&mut gateway.client().await, &open).await.unwrap();
}

/// Copies as soon as Redis has noticed that the connections of a gateway are cut.
async fn copy_unsubscribed(world: &World, target: &Target) -> String {
    let redis = world.redis.as_ref().unwrap();
    let gone = async {
        while redis.subscribers("okb:wake").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    store_done(world, &target.arguments()).await
}

async fn try_purchase(client: &mut Client, code: &str) -> Result<(), tonic::Status> {
    client.purchase_prepaid(order(code, PLAIN)).await.map(drop)
}

/// Opens an existing embedded store, whichever accounts it belongs to.
async fn open_embedded(file: &Path) -> RedbStore {
    let identity = Identity {
        accounts: BTreeMap::new(),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    RedbStore::open(file, &identity).await.unwrap()
}

/// The number of records of an interrupted copy.
const RECORDS: u128 = 3_000;

/// Fills a store without a gateway, so that a copy takes long enough to be killed.
async fn fill_with_many(world: &World) {
    stop(world.start_gateway().await).await;
    let store = open_embedded(&world.store_file()).await;
    let changes: Vec<_> = (0..RECORDS).map(begin).collect();
    let commits = changes.iter().map(|change| store.commit(change, None));
    for committed in futures::future::join_all(commits).await {
        assert!(matches!(committed.unwrap(), Commit::Done));
    }
}

#[tokio::test]
async fn killed_copy_is_resumed_and_neither_store_is_usable_before() {
    let mut world = World::new(StoreKind::Embedded).await;
    fill_with_many(&world).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let mut killed = 0;
    for records in [1, 700, 1_500, 2_500] {
        let mut copying = start_store(&world, &target.arguments());
        while redis.count().await < records && !copying.text().contains("compared") {
            tokio::task::yield_now().await;
        }
        copying.kill().await;
        if copying.text().contains("compared") {
            break;
        }
        killed += 1;
        let refused = serve_refused(&world).await;
        assert!(refused.contains("is being moved to"), "{refused}");
        let (kind, url) = (world.setting("store.kind"), redis.url.clone());
        world.set("store.kind", "redis").set("store.url", &url);
        world.set("store.partitions", "16");
        let refused = serve_refused(&world).await;
        assert!(refused.contains("is not finished"), "{refused}");
        world.set("store.kind", &kind);
        world.unset("store.url").unset("store.partitions");
    }
    assert!(killed > 0, "no copy was killed");
    let copied = store_done(&world, &target.arguments()).await;
    let compared = format!("compared: {RECORDS} records");
    assert!(copied.contains(&compared), "{copied}");
    target.configure(&mut world);
    let verified = store_done(&world, &["verify"]).await;
    assert!(
        verified.contains(&format!("{RECORDS} records")),
        "{verified}"
    );
}

#[tokio::test]
async fn cancelled_copy_returns_to_the_source_without_a_loss() {
    let mut world = World::new(StoreKind::Embedded).await;
    fill_with_many(&world).await;
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let mut copying = start_store(&world, &target.arguments());
    while redis.count().await < 500 {
        tokio::task::yield_now().await;
    }
    copying.kill().await;
    // Another target is refused meanwhile.
    let other = Target::embedded(&world);
    let refused = store_refused(&world, &other.arguments()).await;
    assert!(refused.contains("is being moved to"), "{refused}");

    store_done(&world, &["copy", "--cancel"]).await;
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    stop(gateway).await;
    let (is_done, text) = run_store(&world, &["copy", "--cancel"]).await;
    assert!(!is_done && text.contains("is not being moved"), "{text}");
    // The unfinished target stays refused.
    let url = redis.url.clone();
    world.set("store.kind", "redis").set("store.url", &url);
    world.set("store.partitions", "16");
    let refused = serve_refused(&world).await;
    assert!(refused.contains("is not finished"), "{refused}");
}

/// Stores a final transaction, retires it, and returns it.
async fn retire_one(store: &dyn Store, seed: u128) -> Arc<domain::Transaction> {
    let first = begin(seed);
    let finding = Finding::Failed(FailureReason::ProductUnavailable);
    let said = Statement::bare(Source::Answer, finding);
    let last = first.transaction.observe([said], at(1), &schedule());
    let last = last.unwrap();
    for change in [&first, &last] {
        let committed = store.commit(change, None).await.unwrap();
        assert!(matches!(committed, Commit::Done));
    }
    let tombstone = Tombstone::of(&last.transaction);
    let retired = store.retire(&last.transaction, tombstone.as_ref()).await;
    assert_eq!(retired.unwrap(), Retirement::Done);
    last.transaction
}

async fn assert_retired(store: &dyn Store, retired: &[Arc<domain::Transaction>]) {
    for (seed, retired) in retired.iter().enumerate() {
        let loaded = store.load(&retired.key()).await;
        assert!(matches!(loaded, Err(StoreError::Retired(_))), "{loaded:?}");
        let again = store.commit(&begin(seed as u128), None).await;
        assert!(matches!(again, Err(StoreError::Retired(_))), "{again:?}");
    }
}

/// A tombstone keeps its reference code from being bought again, in the other kind of store as well,
/// and with another number of partitions.
#[tokio::test]
async fn tombstones_move_in_both_directions() {
    let mut world = World::new(StoreKind::Embedded).await;
    stop(world.start_gateway().await).await;
    let store = open_embedded(&world.store_file()).await;
    let mut retired = Vec::new();
    for seed in 0..40 {
        retired.push(retire_one(&store, seed).await);
    }
    drop(store);
    let redis = Redis::start(world.path()).await;
    let target = Target::redis(&world, &redis.url);
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains("40 tombstones"), "{copied}");
    target.configure(&mut world);
    let settings = RedisSettings {
        partitions: 16,
        ..redis_settings(&redis)
    };
    let store = RedisStore::connect(settings).unwrap();
    assert_retired(&store, &retired).await;

    let target = Target::embedded(&world);
    let copied = store_done(&world, &target.arguments()).await;
    assert!(copied.contains("40 tombstones"), "{copied}");
    let file = world.path().join("target/gateway.redb");
    assert_retired(&open_embedded(&file).await, &retired).await;
}

/// A callback that reaches a gateway which was cut off during a copy must not be acknowledged: the
/// target would never learn of it.
#[tokio::test]
async fn moved_partition_accepts_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let first = begin(1);
    done(&store, &first).await;
    let keep = Expiry {
        now: at(0),
        until: at(3_600_000_000),
    };
    let seals = store.seals().await.unwrap();
    let moved = moved_seal("redis elsewhere");
    store.seal(&seals, &moved, keep).await.unwrap();
    let change = pending(&first.transaction, 1);
    let refused = store.commit(&change, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(refused.to_string().contains("redis elsewhere"), "{refused}");
    let stored = store.load(&first.transaction.key()).await.unwrap();
    assert_eq!(stored.unwrap(), first.transaction);
}
