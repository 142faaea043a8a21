//! `store verify`: it finds each inconsistency, and none while gateways change the store.

use redb::{ReadableTable, TableDefinition};

use okebayar_gateway::store::{OpenMode, StoreSettings, Walked, open};

use super::contract::identity;
use crate::support::{
    accounts::redis_settings,
    failover::stop,
    on_both_stores,
    redis::Redis,
    store_command::{start_store, store_done, store_refused},
    world::{
        Client, PENDING_FOR_EVER, PLAIN, StoreKind, TWO_BILLS, WATER, World, buy, order, payment,
        reference,
    },
};

/// Buys in several states, and returns the reference codes: three settled ones, two open ones.
async fn fill(world: &World) -> Vec<String> {
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut codes = Vec::new();
    for account_number in [PLAIN, PLAIN, PLAIN, PENDING_FOR_EVER, PENDING_FOR_EVER] {
        let code = reference();
        let bought = buy(&mut client, &code, account_number).await;
        if account_number == PLAIN {
            assert!(bought.terminal, "{bought:#?}");
        }
        codes.push(code);
    }
    let bill = gateway.bill(WATER, TWO_BILLS).await;
    client
        .pay_postpaid(payment(&reference(), &bill))
        .await
        .unwrap();
    stop(gateway).await;
    codes
}

async fn healthy_store_is_consistent(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    fill(&world).await;
    let verified = store_done(&world, &["verify"]).await;
    assert!(verified.contains("the store is consistent"), "{verified}");
    assert!(verified.contains("6 records"), "{verified}");
    let before = fingerprint(&world).await;
    store_done(&world, &["verify"]).await;
    assert_eq!(fingerprint(&world).await, before, "verify writes nothing");
}

/// Returns the contents of a store: the file, or the offset of the replication of Redis, which every
/// write moves.
async fn fingerprint(world: &World) -> Vec<u8> {
    match &world.redis {
        Some(redis) => redis
            .info("persistence", "rdb_changes_since_last_save")
            .await
            .to_be_bytes()
            .to_vec(),
        None => std::fs::read(world.store_file()).unwrap(),
    }
}

on_both_stores!(healthy_store_is_consistent);

#[tokio::test]
async fn changes_of_a_running_gateway_are_no_inconsistencies() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let buying = (0..2).map(async |_| {
        let mut client: Client = gateway.client().await;
        loop {
            client
                .purchase_prepaid(order(&reference(), PLAIN))
                .await
                .unwrap();
        }
    });
    let verifying = async {
        for _ in 0..2 {
            let verified = store_done(&world, &["verify"]).await;
            assert!(verified.contains("the store is consistent"), "{verified}");
        }
    };
    tokio::select! {
        _ = futures::future::join_all(buying) => unreachable!(),
        () = verifying => {}
    }
}

async fn keys(redis: &Redis, pattern: &str) -> Vec<String> {
    let mut connection = redis.connection().await;
    let mut keys = redis::cmd("KEYS");
    keys.arg(pattern);
    keys.query_async(&mut connection).await.unwrap()
}

/// Returns the only key of a pattern, and its partition.
async fn key(redis: &Redis, pattern: &str) -> (String, String) {
    let found = keys(redis, pattern).await;
    let [key] = found.as_slice() else {
        panic!("{pattern}: {found:?}")
    };
    let partition = key.split(['{', '}']).nth(1).unwrap().to_owned();
    (key.clone(), partition)
}

async fn members(redis: &Redis, key: &str) -> Vec<String> {
    let mut connection = redis.connection().await;
    let mut read = redis::cmd("ZRANGE");
    read.arg(key).arg(0).arg(-1);
    read.query_async(&mut connection).await.unwrap()
}

async fn assert_found(world: &World, expected: &[&str]) {
    let found = store_refused(world, &["verify"]).await;
    for expected in expected {
        assert!(
            found.contains(expected),
            "{expected:?} is missing in {found}"
        );
    }
    assert!(!found.contains("the store is consistent"), "{found}");
}

/// Returns the names under which reference codes are stored.
fn stored_names(codes: &[String]) -> Vec<String> {
    let stored = |code: &String| code.to_lowercase().replace('-', "");
    codes.iter().map(stored).collect()
}

#[tokio::test]
async fn each_inconsistency_of_redis_is_found() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let codes = fill(&world).await;
    let stored = stored_names(&codes);
    let redis = world.redis.as_ref().unwrap();
    let record = async |name: &String| key(redis, &format!("okb:*:tx:{name}")).await;

    let (unreadable, _) = record(&stored[0]).await;
    redis
        .command(&["HSET", &unreadable, "body", "not a record"])
        .await;

    let (_, partition) = record(&stored[1]).await;
    let listing = format!("okb:{{{partition}}}:listing");
    let listed = members(redis, &listing).await;
    let listed = listed.iter().find(|member| member.ends_with(&stored[1]));
    redis.command(&["ZREM", &listing, listed.unwrap()]).await;
    let stale = listed.unwrap().replacen("SUCCEEDED", "FAILED", 1);
    redis.command(&["ZADD", &listing, "0", &stale]).await;

    let (lost, _) = record(&stored[2]).await;
    redis.command(&["DEL", &lost]).await;

    let (_, partition) = record(&stored[3]).await;
    let due = format!("okb:{{{partition}}}:due");
    redis.command(&["ZREM", &due, &stored[3]]).await;
    redis.command(&["ZADD", &due, "1", "nosuchreference"]).await;

    redis
        .command(&["SET", "okb:{1}:trace:main:T1", "nosuchreference"])
        .await;
    let (note, _) = key(redis, "okb:*:note:inquiry:*").await;
    redis.command(&["SET", &note, "no inquiry"]).await;
    // It lies in another partition than its key, as after a change of store.partitions.
    redis
        .command(&[
            "COPY",
            &record(&stored[4]).await.0,
            "okb:{999}:tx:elsewhere",
        ])
        .await;
    redis.command(&["DEL", "okb:{7}:seal"]).await;
    redis
        .command(&["HDEL", "okb:identity", "account:main"])
        .await;
    redis.command(&["LPUSH", "okb:notices", "no notice"]).await;
    assert_found(
        &world,
        &[
            &format!("{}: the record of {} is unusable", stored[0], stored[0]),
            &format!("{}: SUCCEEDED and not listed so", stored[1]),
            "an entry of the listing is not about the stored record",
            &format!("{}: has events, but no record", stored[2]),
            "an entry of the listing has no record",
            &format!("{}: due for a check, and in no due index", stored[3]),
            "nosuchreference: an entry of okb:",
            "main:T1: the trace code names nosuchreference",
            "note inquiry:main:",
            "elsewhere: the record lies in another partition",
            "seals: partition 7 carries no seal",
            "identity: the user id",
            "lists: 1 items of Notices cannot be read",
            "guard start",
        ],
    )
    .await;
}

#[tokio::test]
async fn missing_event_of_redis_is_found() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let codes = fill(&world).await;
    let redis = world.redis.as_ref().unwrap();
    let name = codes[0].to_lowercase().replace('-', "");
    let (_, partition) = key(redis, &format!("okb:*:tx:{name}")).await;
    let events = format!("okb:{{{partition}}}:events");
    let mut connection = redis.connection().await;
    let mut read = redis::cmd("XRANGE");
    read.arg(&events).arg("-").arg("+");
    let found: redis::streams::StreamRangeReply = read.query_async(&mut connection).await.unwrap();
    assert!(found.ids.len() > 1, "a purchase has two events at least");
    let last = &found.ids.last().unwrap().id;
    redis.command(&["XDEL", &events, last]).await;
    assert_found(
        &world,
        &[&format!("events of partition {partition}: an event after")],
    )
    .await;
}

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const LISTING: TableDefinition<'_, (&str, i64, &str), ()> = TableDefinition::new("listing");
const DUE_OF: TableDefinition<'_, &str, i64> = TableDefinition::new("due_of");
const DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due");
const TRACES: TableDefinition<'_, &str, &str> = TableDefinition::new("traces");
const NOTES: TableDefinition<'_, &str, (&str, i64)> = TableDefinition::new("notes");
const IDENTITY: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");
const TOMBSTONES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("tombstones");

#[tokio::test]
async fn each_inconsistency_of_embedded_store_is_found() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let codes = fill(&world).await;
    let stored = stored_names(&codes);
    {
        let database = redb::Database::open(world.store_file()).unwrap();
        let write = database.begin_write().unwrap();
        {
            let mut records = write.open_table(RECORDS).unwrap();
            records
                .insert(stored[0].as_str(), b"not a record".as_slice())
                .unwrap();
            records.remove(stored[2].as_str()).unwrap();
            let mut listing = write.open_table(LISTING).unwrap();
            let found = listing
                .iter()
                .unwrap()
                .map(|entry| {
                    let (key, _) = entry.unwrap();
                    let (state, ms, name) = key.value();
                    (state.to_owned(), ms, name.to_owned())
                })
                .find(|(_, _, name)| *name == stored[1]);
            let (state, ms, name) = found.unwrap();
            listing.remove((state.as_str(), ms, name.as_str())).unwrap();
            listing.insert(("FAILED", ms, name.as_str()), ()).unwrap();
            let mut due_of = write.open_table(DUE_OF).unwrap();
            let at = due_of.remove(stored[3].as_str()).unwrap().unwrap().value();
            let mut due = write.open_table(DUE).unwrap();
            due.remove((at, stored[3].as_str())).unwrap();
            due.insert((1, "nosuchreference"), ()).unwrap();
            let mut traces = write.open_table(TRACES).unwrap();
            traces.insert("main:T1", "nosuchreference").unwrap();
            let mut notes = write.open_table(NOTES).unwrap();
            notes
                .insert("inquiry:main:x", ("no inquiry", i64::MAX))
                .unwrap();
            notes.remove("seal").unwrap();
            let mut identity = write.open_table(IDENTITY).unwrap();
            identity.remove("account:main").unwrap();
            let mut tombstones = write.open_table(TOMBSTONES).unwrap();
            tombstones
                .insert([7; 16].as_slice(), "no tombstone")
                .unwrap();
        }
        write.commit().unwrap();
    }
    assert_found(
        &world,
        &[
            &format!("{}: the record of {} is unusable", stored[0], stored[0]),
            &format!("{}: SUCCEEDED and not listed so", stored[1]),
            "an entry of the listing is not about the stored record",
            &format!("{}: has events, but no record", stored[2]),
            &format!("{}: due for a check, and in no due index", stored[3]),
            "nosuchreference: an entry of the due index has no record",
            "main:T1: the trace code names nosuchreference",
            "note inquiry:main:x: ",
            "seals: partition 0 carries no seal",
            "identity: the user id",
            "tombstone 07070707",
        ],
    )
    .await;
}

/// Runs `store verify`, and returns its exit code and output.
async fn verify_code(world: &World) -> (Option<i32>, String) {
    let mut verifying = start_store(world, &["verify"]);
    let status = verifying.ended().await;
    (status.code(), verifying.text())
}

#[tokio::test]
async fn store_that_cannot_be_read_has_an_exit_code_of_its_own() {
    let mut world = World::new(StoreKind::Redis).await;
    fill(&world).await;
    assert_eq!(verify_code(&world).await.0, Some(0));
    let redis = world.redis.as_ref().unwrap();
    redis.command(&["DEL", "okb:{7}:seal"]).await;
    assert_eq!(verify_code(&world).await.0, Some(1));
    world.redis.as_mut().unwrap().kill().await;
    let (code, text) = verify_code(&world).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the store was not verified"), "{text}");
}

/// A tombstone where no claim finds it lets its reference code be bought again; a trace code may be
/// missing in the index.
#[tokio::test]
async fn unreachable_tombstones_and_trace_codes_are_found() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    fill(&world).await;
    let redis = world.redis.as_ref().unwrap();
    for bucket in ["okb:{1}:gone:000", "okb:{999}:gone:000"] {
        let hash = if bucket.contains("999") {
            "0123456789abcdef"
        } else {
            "fedcba9876543210"
        };
        redis.command(&["HSET", bucket, hash, "20747S"]).await;
    }
    for traces in keys(redis, "okb:*:traces:*").await {
        redis.command(&["DEL", &traces]).await;
    }
    assert_found(
        &world,
        &[
            &format!(
                "tombstone {}: it lies where no claim",
                hex::encode("0123456789abcdef")
            ),
            &format!(
                "tombstone {}: it lies where no claim",
                hex::encode("fedcba9876543210")
            ),
            "is not indexed",
        ],
    )
    .await;
}

#[tokio::test]
async fn record_of_a_missing_key_has_the_key_as_remedy() {
    let mut world = World::new(StoreKind::Embedded).await;
    let file = world.path().join("k1.key");
    std::fs::write(&file, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
    world.set(
        "store.encryption_key_files",
        &format!("k1:{}", file.display()),
    );
    fill(&world).await;
    world.unset("store.encryption_key_files");
    let found = store_refused(&world, &["verify"]).await;
    assert!(
        found.contains("not configured: add it to store.encryption_key_files\n"),
        "{found}"
    );
    assert!(
        !found.contains("this release leaves them unchanged"),
        "{found}"
    );
}

/// Every gap is found, not only the first of a partition.
#[tokio::test]
async fn each_gap_in_the_events_of_redis_is_found() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("store.partitions", "1");
    fill(&world).await;
    let redis = world.redis.as_ref().unwrap();
    let mut connection = redis.connection().await;
    let mut read = redis::cmd("XRANGE");
    read.arg("okb:{0}:events").arg("-").arg("+");
    let found: redis::streams::StreamRangeReply = read.query_async(&mut connection).await.unwrap();
    let last = found.ids.len();
    assert!(last > 8, "{last}");
    for index in [2, 5, last - 1] {
        redis
            .command(&["XDEL", "okb:{0}:events", &found.ids[index].id])
            .await;
    }
    let gaps = [2, 5, last - 1];
    let expected = gaps.map(|after| format!("an event after number {after} is missing"));
    assert_found(&world, &expected.each_ref().map(String::as_str)).await;
    let verified = store_refused(&world, &["verify"]).await;
    let read = format!("{} events", last - 3);
    assert!(verified.contains(&read), "{read} is missing in {verified}");
}

/// A record may end between the walk and the check.
#[tokio::test]
async fn record_that_is_gone_is_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let settings = StoreSettings::Redis(redis_settings(&redis));
    let opened = open(&settings, &identity(), OpenMode::Inspect).await;
    let opened = opened.unwrap();
    let record = Walked::Record {
        place: "okb:{1}:tx:reference1".to_owned(),
        name: "reference1".to_owned(),
    };
    assert!(!opened.still_holds(&record).await.unwrap());
    redis
        .command(&["HSET", "okb:{1}:tx:reference1", "body", "x"])
        .await;
    assert!(opened.still_holds(&record).await.unwrap());
}

const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
const LOG: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("log");
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");

/// Changes the tables of the embedded store of a world.
fn amend(world: &World, amend: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(world.store_file()).unwrap();
    let write = database.begin_write().unwrap();
    amend(&write);
    write.commit().unwrap();
}

/// Makes the empty embedded store of a world one of schema 3, and fills it.
async fn fill_schema_3(world: &World) -> Vec<String> {
    stop(world.start_gateway().await).await;
    amend(world, |write| {
        let mut identity = write.open_table(IDENTITY).unwrap();
        identity.insert("schema", "3").unwrap();
    });
    fill(world).await
}

#[tokio::test]
async fn file_that_the_release_before_wrote_is_verified() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    fill_schema_3(&world).await;
    amend(&world, |write| {
        write.delete_table(SEGMENTS).unwrap();
        write.delete_table(TOMBSTONES).unwrap();
    });
    let verified = store_done(&world, &["verify"]).await;
    assert!(verified.contains("6 records"), "{verified}");
    assert!(!verified.contains(" 0 events"), "{verified}");
}

/// A record that is NOT_SENT takes its events along when it ends. Those of schema 3 leave their
/// numbers, which are no gap; those of a record that is there are one.
#[tokio::test]
async fn events_of_an_ended_record_are_no_gap() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let codes = fill_schema_3(&world).await;
    let stored = codes[1].to_lowercase().replace('-', "");
    let ended = codes[0].to_lowercase().replace('-', "");
    amend(&world, |write| {
        let mut records = write.open_table(RECORDS).unwrap();
        records.remove(ended.as_str()).unwrap();
        let mut traces = write.open_table(TRACES).unwrap();
        traces.retain(|_, name| name != ended).unwrap();
        let mut listing = write.open_table(LISTING).unwrap();
        listing.retain(|(_, _, name), ()| name != ended).unwrap();
        let mut events = write.open_table(EVENTS).unwrap();
        let of_key = (ended.as_str(), 0)..=(ended.as_str(), u64::MAX);
        events.retain_in(of_key, |_, _| false).unwrap();
    });
    let verified = store_done(&world, &["verify"]).await;
    assert!(verified.contains("5 records"), "{verified}");
    let mut number = 0;
    amend(&world, |write| {
        let mut events = write.open_table(EVENTS).unwrap();
        events.remove((stored.as_str(), 2)).unwrap().unwrap();
        let log = write.open_table(LOG).unwrap();
        let entries = log.iter().unwrap().map(Result::unwrap);
        let mut numbers = entries.map(|(number, event)| {
            let (name, revision) = event.value();
            (number.value(), name.to_owned(), revision)
        });
        let found = numbers.find(|(_, name, revision)| *name == stored && *revision == 2);
        number = found.unwrap().0;
    });
    let gap = format!("an event after number {} is missing", number - 1);
    assert_found(&world, &[&gap]).await;
}
