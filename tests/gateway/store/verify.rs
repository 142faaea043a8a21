//! `store verify`: it finds each inconsistency, and none while gateways change the store.

use redb::{ReadableTable, TableDefinition};

use crate::support::{
    failover::stop,
    on_both_stores,
    redis::Redis,
    store_command::{store_done, store_refused},
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

#[tokio::test]
async fn each_inconsistency_of_redis_is_found() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let codes = fill(&world).await;
    let stored: Vec<String> = codes
        .iter()
        .map(|code| code.to_lowercase().replace('-', ""))
        .collect();
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
    let stored: Vec<String> = codes
        .iter()
        .map(|code| code.to_lowercase().replace('-', ""))
        .collect();
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
