//! The upgrade of a store from schema 3, which the release before this one shares, to schema 4.

use std::{path::Path, time::Duration};

use jiff::SignedDuration;
use okebayar_gateway::{
    store::{
        Commit, Cursor, Events, History, Position, Retirement, SCHEMA, SCHEMA_BEFORE, Store,
        Tombstone,
        redb::{RedbSettings, RedbStore},
        redis::RedisStore,
    },
    transaction::{Change, Finding, Source, Statement, TraceCode, Transaction},
};
use redb::{Database, TableDefinition};
use redis::{AsyncTypedCommands, Script, Value};

use super::contract::{account, done, identity, open_redis, pending};
use crate::support::{
    accounts::{done as succeeds, refused},
    core::{at, begin, schedule},
    process::PATIENCE,
    redis::Redis,
    world::{PLAIN, StoreKind, World, assert_succeeded, buy, reference},
};

/// The script by which the release before this one commits.
const SCRIPT_BEFORE: &str = include_str!("../../data/commit-schema-3.lua");

/// Opens a Redis that is a store of schema 3 with 8 partitions.
async fn redis_of_schema_3(redis: &Redis) -> RedisStore {
    let facts = ["HSET", "okb:identity", "schema", "3", "partitions", "8"];
    redis.command(&facts).await;
    open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await
}

fn succeeded(from: &Transaction, seconds: i64) -> Change {
    let said = Statement::bare(Source::Check, Finding::Succeeded);
    from.observe([said], at(seconds), &schedule()).unwrap()
}

async fn revisions(store: &dyn Store, of: &Transaction, after: u64) -> Option<Vec<u64>> {
    match store.history(&of.key(), after).await.unwrap() {
        History::Complete(events) => Some(events.iter().map(|event| event.revision()).collect()),
        History::Trimmed => None,
    }
}

async fn revisions_after(store: &dyn Store, cursor: &Cursor) -> Option<Vec<u64>> {
    match store.events_after(cursor).await.unwrap() {
        Events::Next(events) => Some(
            events
                .iter()
                .map(|event| event.transaction.revision())
                .collect(),
        ),
        Events::OutOfRange => None,
    }
}

fn trace(number: u32) -> TraceCode {
    TraceCode::parse(format!("7001{number:012}")).unwrap()
}

/// The layout is the one that `SCRIPT_BEFORE` writes, field by field.
#[tokio::test]
async fn store_of_schema_3_holds_what_the_release_before_reads() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = redis_of_schema_3(&redis).await;
    let first = begin(1);
    let second = pending(&first.transaction, 1);
    done(&store, &first).await;
    done(&store, &second).await;
    let of = &second.transaction;
    let key = of.key();
    store
        .index_trace(&key, &account(), &trace(1))
        .await
        .unwrap();

    let mut connection = redis.connection().await;
    let records = connection.keys("okb:*:tx:*").await.unwrap();
    let fields = connection.hgetall(&records[0]).await.unwrap();
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["body", "event:1", "event:2", "listed", "version"]);
    assert_eq!(fields["version"], "2");
    assert!(fields["listed"].starts_with("PENDING 18"), "{fields:?}");
    let token = format!("\"token\":\"{}\"", of.token());
    assert!(fields["body"].starts_with("{\"schema\":3,") && fields["body"].contains(&token));
    let stream = connection.keys("okb:*:events").await.unwrap().remove(0);
    let events = connection.xrange_all(&stream).await.unwrap();
    assert_eq!(events.ids.len(), 2);
    let last = &events.ids[1];
    assert_eq!(last.id, fields["event:2"]);
    assert_eq!(last.get::<String>("key").unwrap(), key.to_string());
    assert_eq!(last.get::<String>("body").unwrap(), fields["body"]);
    let traces = connection.keys("okb:*:trace:main:*").await.unwrap();
    let indexed = connection.get(&traces[0]).await.unwrap();
    assert_eq!(indexed, Some(key.to_string()));
}

/// Commits as the release before does, over a version of an attempt; returns the reply of its script.
async fn commit_as_release_before(
    redis: &Redis,
    record: &str,
    version: &str,
    token: &str,
) -> Vec<Value> {
    let script = Script::new(SCRIPT_BEFORE);
    let (prefix, name) = record.split_once("tx:").unwrap();
    let mut call = script.key(record);
    for key in [
        "due",
        "events",
        "listing",
        "number",
        "due:main",
        "asked:main",
        "seal",
    ] {
        call.key(format!("{prefix}{key}"));
    }
    let arguments = [version, "2", "{}", name, "1", "2", "0", "SENDING 1 x", ""];
    for argument in arguments.iter().chain(&[token, "", "", ""]) {
        call.arg(*argument);
    }
    let mut connection = redis.connection().await;
    call.invoke_async(&mut connection).await.unwrap()
}

/// A gateway of the release before runs for some seconds after the upgrade. Its script is text that
/// nobody can change any more.
#[tokio::test]
async fn release_before_neither_overwrites_nor_misses_a_compact_record() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let first = begin(1);
    done(&store, &first).await;
    let of = &first.transaction;
    let mut connection = redis.connection().await;
    let record = connection.keys("okb:*:tx:*").await.unwrap().remove(0);
    let mut get = redis::cmd("HGETALL");
    get.arg(&record);
    let before: Value = get.query_async(&mut connection).await.unwrap();
    // A claim of a new reference code, a save over each version, and an arming with the same token.
    for version in ["", "1", "2", "10"] {
        for token in [String::new(), of.token().to_string()] {
            let reply = commit_as_release_before(&redis, &record, version, &token).await;
            assert_eq!(reply[0], Value::Int(0), "{version:?} {token:?}");
            assert!(
                matches!(&reply[1], Value::BulkString(_)),
                "it must not find nothing: {version:?}"
            );
        }
    }
    let after: Value = get.query_async(&mut connection).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(
        store.load(&of.key()).await.unwrap().unwrap(),
        first.transaction
    );
}

/// A gateway of the release before buys under a retired reference code, because it knows no tombstones.
/// So no record ends before its next verification, which refuses the upgraded store.
#[tokio::test]
async fn records_end_only_when_release_before_must_have_noticed_the_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = redis_of_schema_3(&redis).await;
    assert!(!store.ends_records());
    store.upgrade_schema(true).await.unwrap();
    store.verify().await.unwrap();
    assert!(!store.ends_records());
    // That release takes a retired reference code for a free one.
    let retired = succeeded(&pending(&begin(1).transaction, 1).transaction, 2);
    for change in [&begin(1), &pending(&begin(1).transaction, 1), &retired] {
        done(&store, change).await;
    }
    let mut connection = redis.connection().await;
    let record = connection.keys("okb:*:tx:*").await.unwrap().remove(0);
    let tombstone = Tombstone::of(&retired.transaction);
    let done = store.retire(&retired.transaction, tombstone.as_ref()).await;
    assert_eq!(done.unwrap(), Retirement::Done);
    let claimed = commit_as_release_before(&redis, &record, "", "").await;
    assert_eq!(claimed, [Value::Int(1)]);

    let started_again = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(50)).await;
    for store in [&store, &started_again] {
        assert!(!store.ends_records(), "a verification takes up to 9 s");
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert!(store.ends_records() && started_again.ends_records());

    let other = tempfile::tempdir().unwrap();
    let other = Redis::start(other.path()).await;
    let new = open_redis(&other.url, SignedDuration::from_hours(1)).await;
    assert!(new.ends_records(), "only this release has ever used it");
}

#[tokio::test]
async fn gateway_that_missed_the_upgrade_learns_of_it_from_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let (one, other) = (
        redis_of_schema_3(&redis).await,
        redis_of_schema_3(&redis).await,
    );
    let start = one.events_head().await.unwrap();
    let first = begin(1);
    let key = first.transaction.key();
    done(&one, &first).await;
    one.index_trace(&key, &account(), &trace(1)).await.unwrap();
    assert_eq!(other.upgrade_schema(false).await.unwrap(), SCHEMA_BEFORE);
    assert_eq!(other.upgrade_schema(true).await.unwrap(), SCHEMA_BEFORE);
    other.verify().await.unwrap();
    let second = pending(&first.transaction, 1);
    done(&other, &second).await;
    other
        .index_trace(&key, &account(), &trace(2))
        .await
        .unwrap();

    // `one` has verified nothing since. It writes what it knows where nothing is compact yet.
    let elsewhere = begin(2);
    done(&one, &elsewhere).await;
    let third = succeeded(&second.transaction, 2);
    let refused = one.commit(&third, None).await.unwrap();
    assert!(matches!(refused, Commit::Conflict(Some(stored)) if stored == second.transaction));
    done(&one, &third).await;
    let later = pending(&elsewhere.transaction, 1);
    done(&one, &later).await;

    for store in [&one, &other] {
        assert_eq!(
            revisions(store, &third.transaction, 0).await.unwrap(),
            [1, 2, 3]
        );
        assert_eq!(revisions(store, &third.transaction, 2).await.unwrap(), [3]);
        assert_eq!(
            revisions(store, &later.transaction, 0).await.unwrap(),
            [1, 2]
        );
        let seen = revisions_after(store, &start).await.unwrap();
        assert_eq!(seen.len(), 5, "the cursor is from before the upgrade");
        for number in [1, 2] {
            let found = store
                .find_by_trace(&account(), &trace(number))
                .await
                .unwrap();
            assert_eq!(found.as_ref(), Some(&key));
        }
    }
    for number in [1, 2, 2] {
        one.unindex_trace(&key, &account(), &trace(number))
            .await
            .unwrap();
        let found = other
            .find_by_trace(&account(), &trace(number))
            .await
            .unwrap();
        assert_eq!(found, None);
    }
    assert_eq!(other.upgrade_schema(true).await.unwrap(), SCHEMA);
}

/// A Redis that is emptied during a rollout is used by gateways of the release before as well.
#[tokio::test]
async fn emptied_redis_is_shared_with_gateways_of_the_release_before() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let earlier = redis::Client::open(redis.url.as_str()).unwrap();
    let mut earlier = earlier.get_async_pubsub().await.unwrap();
    earlier.subscribe("okb:wake").await.unwrap();
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let schema: Option<String> = redis
        .ask(&["HGET", "okb:identity", "schema"])
        .await
        .unwrap();
    assert_eq!(schema.as_deref(), Some("3"));
    assert!(!store.ends_records());
}

/// Buckets of all levels, whose entries come and go.
#[tokio::test]
async fn trace_codes_are_found_at_every_level_and_after_removals() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let key = begin(1).transaction.key();
    // 8 partitions: the first level of each is full after 48 entries, the second after 240.
    for number in 0..3000 {
        store
            .index_trace(&key, &account(), &trace(number))
            .await
            .unwrap();
    }
    for number in (0..3000).filter(|number| number % 3 == 0) {
        store
            .unindex_trace(&key, &account(), &trace(number))
            .await
            .unwrap();
    }
    for number in 0..3100 {
        let found = store
            .find_by_trace(&account(), &trace(number))
            .await
            .unwrap();
        let is_kept = number < 3000 && number % 3 != 0;
        assert_eq!(found.is_some(), is_kept, "{number}");
    }
    let mut connection = redis.connection().await;
    for bucket in connection.keys("okb:*:traces:*").await.unwrap() {
        let mut ask = redis::cmd("OBJECT");
        ask.arg("ENCODING").arg(&bucket);
        let encoding: String = ask.query_async(&mut connection).await.unwrap();
        assert_eq!(encoding, "listpack", "{bucket}");
    }
}

/// Removals take the count below a level, so a trace code is indexed again below its first entry.
#[tokio::test]
async fn trace_code_that_is_indexed_again_is_found_at_its_new_entry() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let (old, new) = (begin(1).transaction.key(), begin(2).transaction.key());
    for number in 0..3000 {
        store
            .index_trace(&old, &account(), &trace(number))
            .await
            .unwrap();
    }
    for number in 0..2900 {
        store
            .unindex_trace(&old, &account(), &trace(number))
            .await
            .unwrap();
    }
    for number in 2900..3000 {
        store
            .index_trace(&new, &account(), &trace(number))
            .await
            .unwrap();
        let found = store.find_by_trace(&account(), &trace(number)).await;
        assert_eq!(found.unwrap().as_ref(), Some(&new), "{number}");
    }
    let mut connection = redis.connection().await;
    let mut count = 0;
    for counts in connection.keys("okb:*:traces").await.unwrap() {
        let of_partition = connection.hget(&counts, "count").await.unwrap();
        count += of_partition.unwrap().parse::<u32>().unwrap();
    }
    assert_eq!(count, 100, "each trace code is counted once");
}

/// Retention removes trace codes before their record, also when nothing else may be written.
#[tokio::test]
async fn trace_codes_are_removed_from_a_full_redis() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let key = begin(1).transaction.key();
    store
        .index_trace(&key, &account(), &trace(1))
        .await
        .unwrap();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = store.index_trace(&key, &account(), &trace(2)).await;
    assert!(refused.is_err(), "its memory is full");
    for number in [2, 1, 1] {
        store
            .unindex_trace(&key, &account(), &trace(number))
            .await
            .unwrap();
    }
    let found = store.find_by_trace(&account(), &trace(1)).await;
    assert_eq!(found.unwrap(), None);
}

/// Sets the schema of a closed embedded store.
pub fn set_schema(file: &Path, schema: &str) {
    let database = Database::open(file).unwrap();
    let identity: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");
    let write = database.begin_write().unwrap();
    let mut facts = write.open_table(identity).unwrap();
    facts.insert("schema", schema).unwrap();
    drop(facts);
    write.commit().unwrap();
}

async fn open_file(file: &Path, event_retention: SignedDuration) -> RedbStore {
    let settings = RedbSettings {
        event_retention,
        ..RedbSettings::default()
    };
    let opened = RedbStore::open_with(file, &identity(), settings).await;
    opened.unwrap()
}

/// Returns the number of rows of the tables that only schema 3 writes.
fn rows_of_schema_3(file: &Path) -> u64 {
    let database = Database::open(file).unwrap();
    let log: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("log");
    let read = redb::ReadableDatabase::begin_read(&database).unwrap();
    redb::ReadableTableMetadata::len(&read.open_table(log).unwrap()).unwrap()
}

#[tokio::test]
async fn embedded_store_is_read_across_the_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let kept = SignedDuration::from_hours(1_000_000);
    drop(open_file(&file, kept).await);
    set_schema(&file, "3");
    let (first, second, third, start);
    {
        let store = open_file(&file, kept).await;
        start = store.events_head().await.unwrap();
        first = begin(1);
        second = pending(&first.transaction, 1);
        done(&store, &first).await;
        done(&store, &second).await;
    }
    assert_eq!(rows_of_schema_3(&file), 2);
    {
        let store = open_file(&file, kept).await;
        assert_eq!(store.upgrade_schema(true).await.unwrap(), SCHEMA_BEFORE);
        third = succeeded(&second.transaction, 2);
        done(&store, &third).await;
        done(&store, &begin(2)).await;
    }
    assert_eq!(rows_of_schema_3(&file), 2);
    let store = open_file(&file, kept).await;
    assert_eq!(store.upgrade_schema(true).await.unwrap(), SCHEMA);
    let loaded = store.load(&first.transaction.key()).await.unwrap();
    assert_eq!(loaded.unwrap(), third.transaction);
    assert_eq!(
        revisions(&store, &third.transaction, 0).await.unwrap(),
        [1, 2, 3]
    );
    assert_eq!(
        revisions(&store, &third.transaction, 1).await.unwrap(),
        [2, 3]
    );
    assert_eq!(revisions_after(&store, &start).await.unwrap(), [1, 2, 3, 1]);
}

#[tokio::test]
async fn events_of_embedded_store_are_trimmed_and_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let kept = SignedDuration::from_hours(1);
    drop(open_file(&file, kept).await);
    set_schema(&file, "3");
    let old = begin(1);
    {
        let store = open_file(&file, kept).await;
        done(&store, &old).await;
        store.upgrade_schema(true).await.unwrap();
        // All within the retention, so nothing is trimmed.
        for seed in 2..100 {
            done(&store, &begin(seed)).await;
        }
        let start = cursor(&store, 0).await;
        assert_eq!(revisions_after(&store, &start).await.unwrap().len(), 99);
    }
    assert_eq!(rows_of_schema_3(&file), 1);
    let store = open_file(&file, kept).await;
    // Each commit trims a little, so the old segments are gone after some of them.
    let mut last = begin(100);
    done(&store, &last).await;
    for step in 1..20 {
        let said = Statement::bare(
            Source::Operator,
            Finding::Unknown(okebayar_gateway::transaction::UnknownCause::HttpStatus(
                step,
            )),
        );
        let seconds = 2 * 3600 + i64::from(step);
        last = last
            .transaction
            .observe([said], at(seconds), &schedule())
            .unwrap();
        done(&store, &last).await;
    }
    let head = store.events_head().await.unwrap();
    assert_eq!(head.positions[0].number, 119);
    assert_eq!(
        revisions_after(&store, &cursor(&store, 0).await).await,
        None
    );
    assert_eq!(
        revisions_after(&store, &cursor(&store, 1).await).await,
        None
    );
    // Everything within the retention is there, also in a segment that began before it.
    let recent = cursor(&store, 100).await;
    assert_eq!(revisions_after(&store, &recent).await.unwrap().len(), 19);
    assert_eq!(revisions(&store, &old.transaction, 0).await, None);
    assert_eq!(
        revisions(&store, &last.transaction, 10)
            .await
            .unwrap()
            .len(),
        10
    );
    assert!(store.load(&old.transaction.key()).await.unwrap().is_some());
    drop(store);
    assert_eq!(rows_of_schema_3(&file), 0);
}

/// The number of the last event outlives an upgrade without a commit since.
#[tokio::test]
async fn event_numbers_go_on_when_events_end_right_after_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    drop(open_file(&file, SignedDuration::from_hours(1)).await);
    set_schema(&file, "3");
    let store = open_file(&file, SignedDuration::from_hours(1)).await;
    for seed in 1..4 {
        done(&store, &begin(seed)).await;
    }
    store.upgrade_schema(true).await.unwrap();
    let later = at(0) + SignedDuration::from_hours(24 * 365 * 100);
    assert_eq!(store.trim_events(0, later).await.unwrap(), 0);
    let head = store.events_head().await.unwrap();
    assert_eq!(head.positions[0].number, 3);
    done(&store, &begin(4)).await;
    assert_eq!(revisions_after(&store, &head).await.unwrap(), [1]);
    let head = store.events_head().await.unwrap();
    assert_eq!(head.positions[0].number, 4);
    assert_eq!(store.trim_events(0, later).await.unwrap(), 3);
    drop(store);
    assert_eq!(rows_of_schema_3(&file), 0);
}

async fn cursor(store: &dyn Store, number: u64) -> Cursor {
    let mut cursor = store.events_head().await.unwrap();
    cursor.positions = vec![Position { id: (0, 0), number }];
    cursor
}

/// The whole upgrade, as an operator runs it.
#[tokio::test]
async fn operator_upgrades_redis_while_gateways_run() {
    let world = World::new(StoreKind::Redis).await;
    let redis = world.redis.as_ref().unwrap();
    redis.use_schema_3().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let before = reference();
    assert_succeeded(&buy(&mut client, &before, PLAIN).await);
    let first_bytes = || async {
        let mut connection = redis.connection().await;
        let mut bytes = Vec::new();
        for record in connection.keys("okb:*:tx:*").await.unwrap() {
            let mut get = redis::cmd("HGET");
            let get = get.arg(&record).arg("body");
            let body: Vec<u8> = get.query_async(&mut connection).await.unwrap();
            bytes.push(body[0]);
        }
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(first_bytes().await, [b'{']);
    let output = refused(&world, &["store", "upgrade"]).await;
    assert!(
        output.contains("add --yes to upgrade; nothing is changed"),
        "{output}"
    );
    let output = refused(&world, &["store", "erase", &before]).await;
    assert!(
        output.contains("run okebayar-gateway store upgrade first"),
        "{output}"
    );
    // The release before subscribes to this channel only.
    let earlier = redis::Client::open(redis.url.as_str()).unwrap();
    let mut earlier = earlier.get_async_pubsub().await.unwrap();
    earlier.subscribe("okb:wake").await.unwrap();
    let output = refused(&world, &["store", "upgrade", "--yes"]).await;
    assert!(
        output.contains("1 gateways of an earlier release"),
        "{output}"
    );
    drop(earlier);
    let alone = async {
        while redis.subscribers("okb:wake").await > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, alone).await.unwrap();
    let output = succeeds(&world, &["store", "upgrade", "--yes"]).await;
    assert!(
        output.contains("upgraded: the store has schema 4"),
        "{output}"
    );
    let learns = async {
        loop {
            assert_succeeded(&buy(&mut client, &reference(), PLAIN).await);
            if first_bytes().await.contains(&1) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, learns)
        .await
        .expect("it never verified");
    let again = buy(&mut client, &before, PLAIN).await;
    assert_succeeded(&again);
    assert_eq!(world.ledger(&before).await.received, 1);
    let output = succeeds(&world, &["store", "upgrade", "--yes"]).await;
    assert!(output.contains("has schema 4 already"), "{output}");
    let facts: String = {
        let mut connection = redis.connection().await;
        connection
            .hget("okb:identity", "schema")
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(facts, "4");
}
