//! `store copy`: no fault during it makes two stores sell the same reference code, or loses one.

use std::collections::BTreeMap;

use okebayar_gateway::{
    grpc::v1::TransactionReason,
    store::{
        BoundedList, CasResult, Commit, Expiry, Identity, Store, StoreError,
        epoch::moved_seal,
        redis::{RedisSettings, RedisStore},
    },
    transaction::AccountNames,
};

use super::contract::open_redis;
use crate::support::{
    accounts::redis_settings,
    core::{at, begin},
    failover::{guard, short_skew, stop},
    process::Process,
    redis::Redis,
    store_command::{Target, run_store, serve_refused, start_store, store_done, store_refused},
    world::{
        PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_succeeded, buy, get, minted, reference,
    },
};

/// Two Redis, and the reference codes of two purchases in the first, which the world uses.
struct Pair {
    world: World,
    target_redis: Redis,
    target: Target,
    codes: Vec<String>,
}

impl Pair {
    async fn new() -> Self {
        let mut world = World::new(StoreKind::Redis).await;
        short_skew(&mut world);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let mut codes = Vec::new();
        for account_number in [PLAIN, PENDING_FOR_EVER] {
            let code = reference();
            buy(&mut client, &code, account_number).await;
            codes.push(code);
        }
        stop(gateway).await;
        let target_redis = Redis::start(world.path()).await;
        let target = Target::redis(&world, &target_redis.url);
        Self {
            world,
            target_redis,
            target,
            codes,
        }
    }

    fn source(&self) -> &Redis {
        self.world.redis.as_ref().unwrap()
    }

    async fn copy(&self) -> String {
        store_done(&self.world, &self.target.arguments()).await
    }

    async fn copy_refused(&self) -> String {
        store_refused(&self.world, &self.target.arguments()).await
    }

    /// Takes the marks of a finished copy back to those that a crash before its last steps leaves:
    /// `role` is that of the source.
    async fn mark_again(&self, role: &str) {
        let source = self.source();
        let id: String = source.ask(&["HGET", IDENTITY, "copy:id"]).await.unwrap();
        source.command(&["HSET", IDENTITY, "schema", role]).await;
        let peer = format!("redis 127.0.0.1:{}", source.port());
        let mark = ["HSET", IDENTITY, "schema", "copying", "copy:id", &id];
        self.target_redis
            .command(&[&mark[..], &["copy:peer", &peer]].concat())
            .await;
    }

    /// Fills the source until a copy takes long enough to be stopped in its middle.
    async fn fill_with_many(&self) {
        let identity = Identity {
            accounts: BTreeMap::new(),
            names: AccountNames::default(),
            epoch: uuid::Uuid::from_u128(1),
        };
        let settings = RedisSettings {
            partitions: 64,
            ..redis_settings(self.source())
        };
        let store = RedisStore::open(settings, &identity).await.unwrap();
        let changes: Vec<_> = (0..3_000).map(begin).collect();
        for changes in changes.chunks(100) {
            let commits = changes.iter().map(|change| store.commit(change, None));
            for committed in futures::future::join_all(commits).await {
                assert!(matches!(committed.unwrap(), Commit::Done));
            }
        }
    }

    /// Starts a copy, and freezes it once it has copied some records.
    async fn frozen_copy(&self) -> Process {
        let copying = start_store(&self.world, &self.target.arguments());
        while keys(&self.target_redis, "okb:*:tx:*").await.len() < 300 {
            tokio::task::yield_now().await;
        }
        copying.signal("-STOP");
        copying
    }
}

const IDENTITY: &str = "okb:identity";

async fn keys(redis: &Redis, pattern: &str) -> Vec<String> {
    redis.ask(&["KEYS", pattern]).await.unwrap()
}

async fn delete(redis: &Redis, pattern: &str) {
    for key in keys(redis, pattern).await {
        redis.command(&["DEL", &key]).await;
    }
}

/// Continues a frozen copy, which must fail, and returns its output.
async fn thawed(mut copying: Process) -> String {
    copying.signal("-CONT");
    assert!(!copying.ended().await.success(), "{}", copying.text());
    copying.text()
}

#[tokio::test]
async fn wrong_number_of_partitions_is_refused() {
    let mut pair = Pair::new().await;
    pair.world.set("store.partitions", "16");
    let wrong = "the store has partitions = 64; the configuration has 16";
    for arguments in [pair.target.arguments(), vec!["verify"], vec!["stats"]] {
        let refused = store_refused(&pair.world, &arguments).await;
        assert!(refused.contains(wrong), "{refused}");
    }
    assert_eq!(pair.target_redis.count().await, 0);
    // The target, which a run before made.
    pair.world.unset("store.partitions");
    pair.copy().await;
    let other = std::fs::read_to_string(&pair.target.file).unwrap();
    let other = other.replace("partitions = 16", "partitions = 8");
    std::fs::write(&pair.target.file, other).unwrap();
    let refused = pair.copy_refused().await;
    assert!(
        refused.contains("the store has partitions = 16"),
        "{refused}"
    );
}

#[tokio::test]
async fn record_that_no_gateway_finds_stops_copy() {
    let pair = Pair::new().await;
    let record = keys(pair.source(), "okb:*:tx:*").await.remove(0);
    pair.source()
        .command(&["RENAME", &record, "okb:{999}:tx:elsewhere1"])
        .await;
    let refused = pair.copy_refused().await;
    assert!(refused.contains("1 records cannot be copied"), "{refused}");
    assert!(refused.contains("elsewhere1"), "{refused}");
}

/// The steps before the last ones run again after the target was used.
#[tokio::test]
async fn changed_target_is_not_overwritten() {
    let mut pair = Pair::new().await;
    pair.copy().await;
    let code = pair.codes[0].clone();
    let (kind, url) = (
        pair.world.setting("store.kind"),
        pair.world.setting("store.url"),
    );
    pair.target.configure(&mut pair.world);
    store_done(&pair.world, &["erase", &code, "--yes"]).await;
    pair.world.set("store.kind", &kind).set("store.url", &url);
    pair.world.unset("store.partitions");
    pair.mark_again("moving").await;
    let refused = pair.copy_refused().await;
    assert!(refused.contains("holds another version of"), "{refused}");

    pair.target_redis.command(&["FLUSHALL"]).await;
    store_done(&pair.world, &["copy", "--cancel"]).await;
    pair.copy().await;
    let note = keys(&pair.target_redis, "okb:*:note:price:*").await;
    pair.target_redis
        .command(&["SET", &note[0], "{}", "KEEPTTL"])
        .await;
    pair.mark_again("moving").await;
    let refused = pair.copy_refused().await;
    assert!(
        refused.contains("another text of the note price:"),
        "{refused}"
    );
}

#[tokio::test]
async fn thawed_copy_writes_nothing_to_a_target_in_use() {
    let pair = Pair::new().await;
    pair.fill_with_many().await;
    let frozen = pair.frozen_copy().await;
    pair.copy().await;
    delete(&pair.target_redis, "okb:*:tx:*").await;
    let told = thawed(frozen).await;
    assert!(
        told.contains("another seal") || told.contains("not that of this copy"),
        "{told}"
    );
    assert_eq!(keys(&pair.target_redis, "okb:*:tx:*").await, [""; 0]);
}

/// A run that begins gives the target another seal, so one that was frozen in the middle of a page,
/// after it verified the mark, stores no record.
#[tokio::test]
async fn commit_that_names_a_replaced_seal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, jiff::SignedDuration::from_hours(1)).await;
    let keep = Expiry {
        now: at(0),
        until: at(3_600_000_000),
    };
    let seals = store.seals().await.unwrap();
    store.seal(&seals, "first", keep).await.unwrap();
    let name = okebayar_gateway::store::epoch::seal_name("first");
    let committed = store.commit(&begin(1), Some(&name)).await.unwrap();
    assert!(matches!(committed, Commit::Done));
    let seals = store.seals().await.unwrap();
    store.seal(&seals, "second", keep).await.unwrap();
    let committed = store.commit(&begin(2), Some(&name)).await.unwrap();
    assert!(matches!(committed, Commit::OtherEpoch));
}

#[tokio::test]
async fn loss_of_target_while_it_is_filled_fails_copy() {
    let pair = Pair::new().await;
    pair.fill_with_many().await;
    // Its note alone: nothing else shows that a part of the target was emptied.
    let frozen = pair.frozen_copy().await;
    delete(&pair.target_redis, "okb:*:note:guard").await;
    let told = thawed(frozen).await;
    assert!(told.contains("may have lost what was copied"), "{told}");
    let copied = pair.copy().await;
    assert!(copied.contains("compared: 3002 records"), "{copied}");

    // One partition.
    pair.mark_again("moving").await;
    delete(&pair.target_redis, "okb:*:tx:*").await;
    let frozen = pair.frozen_copy().await;
    delete(&pair.target_redis, "okb:{3}:tx:*").await;
    let told = thawed(frozen).await;
    assert!(told.contains("records, the target"), "{told}");
    let copied = pair.copy().await;
    assert!(copied.contains("compared: 3002 records"), "{copied}");
}

#[tokio::test]
async fn target_that_is_not_whole_is_copied_again() {
    let mut pair = Pair::new().await;
    pair.copy().await;
    pair.mark_again("moved").await;
    delete(&pair.target_redis, "okb:*:tx:*").await;
    delete(&pair.target_redis, "okb:{3}:seal").await;
    let copied = pair.copy().await;
    assert!(copied.contains("copied: 2 records (0 were"), "{copied}");
    assert!(
        copied.contains("failover guard of the target is on"),
        "{copied}"
    );
    // The same after it was emptied.
    pair.target_redis.command(&["FLUSHALL"]).await;
    let copied = pair.copy().await;
    assert!(copied.contains("copied: 2 records (0 were"), "{copied}");
    pair.target.configure(&mut pair.world);
    assert!(guard(&pair.world, "show").await.contains("is on since"));
    let gateway = pair.world.start_gateway().await;
    let mut client = gateway.client().await;
    get(&mut client, &pair.codes[0]).await.unwrap();
    // A gateway may have used the target before it lost something.
    let bought = buy(&mut client, &minted(-3_600_000), PLAIN).await;
    assert_eq!(bought.reason(), TransactionReason::Quarantined);
}

#[tokio::test]
async fn loss_of_source_while_it_is_copied_fails_copy() {
    let mut pair = Pair::new().await;
    pair.fill_with_many().await;
    let frozen = pair.frozen_copy().await;
    delete(pair.source(), "okb:{3}:seal").await;
    let told = thawed(frozen).await;
    assert!(told.contains("configured store may have lost"), "{told}");
    // Also when it is run again: the loss is not forgotten.
    let told = pair.copy_refused().await;
    assert!(told.contains("configured store may have lost"), "{told}");
    store_done(&pair.world, &["copy", "--cancel"]).await;
    let seals = keys(pair.source(), "okb:*:seal").await;
    assert!(!seals.contains(&"okb:{3}:seal".to_owned()), "{seals:?}");
    pair.target_redis.command(&["FLUSHALL"]).await;
    pair.copy().await;
    pair.target.configure(&mut pair.world);
    assert!(guard(&pair.world, "show").await.contains("is on since"));
}

#[tokio::test]
async fn source_without_note_of_its_epoch_is_not_copied() {
    let pair = Pair::new().await;
    delete(pair.source(), "okb:*:note:guard").await;
    let told = pair.copy_refused().await;
    assert!(
        told.contains("note of its replication epoch is missing"),
        "{told}"
    );
    assert!(told.contains("guard start"), "{told}");
    let schema: String = pair
        .source()
        .ask(&["HGET", IDENTITY, "schema"])
        .await
        .unwrap();
    assert_eq!(schema, "4");
}

/// A store whose note is lost while it is copied can be returned to: its guard turns on.
#[tokio::test]
async fn cancel_turns_guard_on_where_note_was_lost() {
    let pair = Pair::new().await;
    pair.fill_with_many().await;
    let frozen = pair.frozen_copy().await;
    delete(pair.source(), "okb:*:note:guard").await;
    let told = thawed(frozen).await;
    assert!(
        told.contains("note of its replication epoch is missing"),
        "{told}"
    );
    store_done(&pair.world, &["copy", "--cancel"]).await;
    assert!(guard(&pair.world, "show").await.contains("is on since"));
    stop(pair.world.start_gateway().await).await;
}

#[tokio::test]
async fn copy_waits_for_the_replicas_that_claims_wait_for() {
    let mut pair = Pair::new().await;
    pair.world.set("store.acknowledging_replicas", "1");
    pair.world.set("store.timeout", "1s");
    let told = pair.copy_refused().await;
    assert!(
        told.contains("the configured store; run the copy again"),
        "{told}"
    );
    assert!(told.contains("0 of 1 replicas"), "{told}");
    assert_eq!(pair.target_redis.count().await, 0, "nothing is copied");
    let folder = tempfile::tempdir().unwrap();
    let _replica = pair.source().replica(folder.path()).await;
    pair.source().await_replica().await;
    pair.world.set("store.timeout", "10s");
    let file = std::fs::read_to_string(&pair.target.file).unwrap();
    let waiting = format!("{file}acknowledging_replicas = 1\ntimeout = \"1s\"\n");
    std::fs::write(&pair.target.file, &waiting).unwrap();
    let told = pair.copy_refused().await;
    assert!(told.contains("the target; run the copy again"), "{told}");
    let schema: String = pair
        .source()
        .ask(&["HGET", IDENTITY, "schema"])
        .await
        .unwrap();
    assert_eq!(schema, "moving");
    let other = tempfile::tempdir().unwrap();
    let _replica = pair.target_redis.replica(other.path()).await;
    pair.target_redis.await_replica().await;
    std::fs::write(&pair.target.file, waiting.replace("1s", "10s")).unwrap();
    pair.copy().await;
}

/// A copy that was frozen before it replaced the seals does so after it was cancelled.
#[tokio::test]
async fn cancelled_copy_leaves_no_seals() {
    let pair = Pair::new().await;
    let peer = format!("redis 127.0.0.1:{}", pair.target_redis.port());
    let mark = [
        "HSET",
        IDENTITY,
        "schema",
        "moving",
        "copy:schema",
        "4",
        "copy:id",
        "1",
        "copy:peer",
        &peer,
    ];
    pair.source().command(&mark).await;
    pair.source()
        .command(&["SET", "okb:gateway:planted", "1", "PX", "3000"])
        .await;
    let mut copying = start_store(&pair.world, &pair.target.arguments());
    copying
        .line(|line| line.contains("waiting").then_some(()))
        .await;
    store_done(&pair.world, &["copy", "--cancel"]).await;
    assert!(!copying.ended().await.success());
    assert!(
        copying.text().contains("cancelled meanwhile"),
        "{}",
        copying.text()
    );
    let gateway = pair.world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
}

#[tokio::test]
async fn cancel_restores_seals_without_a_mark() {
    let pair = Pair::new().await;
    for partition in 0..64 {
        let seal = format!("okb:{{{partition}}}:seal");
        pair.source()
            .command(&["SET", &seal, "moved:redis elsewhere", "KEEPTTL"])
            .await;
    }
    let refused = serve_refused(&pair.world).await;
    assert!(
        refused.contains("was moved to redis elsewhere"),
        "{refused}"
    );
    store_done(&pair.world, &["copy", "--cancel"]).await;
    let gateway = pair.world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    stop(gateway).await;
    // A store that was moved, and lost its identity, is not returned to.
    pair.copy().await;
    pair.source().command(&["DEL", IDENTITY]).await;
    let (is_done, text) = run_store(&pair.world, &["copy", "--cancel"]).await;
    assert!(!is_done && text.contains("is not being moved"), "{text}");
}

/// A gateway that was cut off during a copy stores neither marks nor orphan callbacks in the source.
#[tokio::test]
async fn moved_partition_accepts_no_note_and_no_item() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, jiff::SignedDuration::from_hours(1)).await;
    let keep = Expiry {
        now: at(0),
        until: at(3_600_000_000),
    };
    let put = store.put_note("before", None, "text", keep).await;
    assert_eq!(put.unwrap(), CasResult::Done);
    store.push(BoundedList::Orphans, "before").await.unwrap();
    let seals = store.seals().await.unwrap();
    let moved = moved_seal("redis elsewhere");
    store.seal(&seals, &moved, keep).await.unwrap();
    for (name, from) in [("before", Some("text")), ("after", None)] {
        let refused = store.put_note(name, from, "other", keep).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        assert!(refused.to_string().contains("redis elsewhere"), "{refused}");
    }
    assert_eq!(store.note("after").await.unwrap(), None);
    assert_eq!(store.note("before").await.unwrap().unwrap(), "text");
    let refused = store.push(BoundedList::Orphans, "after").await.unwrap_err();
    assert!(refused.is_indeterminate(), "{refused}");
    // The seals themselves can be restored.
    let seals = store.seals().await.unwrap();
    store.seal(&seals, "restored", keep).await.unwrap();
    store.push(BoundedList::Orphans, "last").await.unwrap();
}

/// A listing that is damaged harms no record, and must not stop the move for ever.
#[tokio::test]
async fn stale_listing_entry_is_reported_and_does_not_stop_copy() {
    let pair = Pair::new().await;
    let listing = keys(pair.source(), "okb:*:listing").await.remove(0);
    let stale = "FAILED 1800000000000 nosuchreference";
    pair.source().command(&["ZADD", &listing, "0", stale]).await;
    let copied = pair.copy().await;
    assert!(copied.contains("FAILED 1 and 0"), "{copied}");
    assert!(copied.contains("is moved to"), "{copied}");
}

/// The section of a gateway serves as that of a target.
#[tokio::test]
async fn settings_of_the_guard_are_accepted_in_the_target() {
    let pair = Pair::new().await;
    let file = std::fs::read_to_string(&pair.target.file).unwrap();
    let more = format!("{file}failover_guard = \"12h\"\nclock_skew = \"2m\"\n");
    std::fs::write(&pair.target.file, more).unwrap();
    pair.copy().await;
}
