//! Promise 13 for `WatchTransactions`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use okebayar_gateway::grpc::v1::{
    Transaction, TransactionState, WatchTransactionsRequest, WatchTransactionsResponse,
};
use redis::AsyncTypedCommands;
use tokio::sync::{Semaphore, mpsc};
use tonic::{Code, Status, Streaming};

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    redis::Redis,
    world::{
        CALLBACK_LOST, Client, PENDING_FOR_EVER, PENDING_THEN_FAILURE, PENDING_THEN_SUCCESS, PLAIN,
        StoreKind, World, buy, error_info, get, order, reference,
    },
};

async fn watch(
    client: &mut Client,
    cursor: &str,
) -> Result<Streaming<WatchTransactionsResponse>, Status> {
    let request = WatchTransactionsRequest {
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    };
    Ok(client.watch_transactions(request).await?.into_inner())
}

async fn next(updates: &mut Streaming<WatchTransactionsResponse>) -> WatchTransactionsResponse {
    let next = tokio::time::timeout(PATIENCE, updates.message()).await;
    next.expect("no update arrived")
        .unwrap()
        .expect("the stream ended")
}

/// Returns the next change, after any heartbeats.
async fn next_change(updates: &mut Streaming<WatchTransactionsResponse>) -> Transaction {
    loop {
        if let Some(transaction) = next(updates).await.transaction {
            return transaction;
        }
    }
}

/// Returns the present cursor.
async fn now(client: &mut Client) -> String {
    let first = next(&mut watch(client, "").await.unwrap()).await;
    assert_eq!(first.transaction, None);
    first.cursor
}

/// The revisions seen of each transaction, in order.
type Seen = BTreeMap<String, Vec<i64>>;

fn note(seen: &mut Seen, transaction: &Transaction) {
    let code = transaction.reference_code.clone();
    seen.entry(code).or_default().push(transaction.revision);
}

const WATCHED: usize = 2000;
const AT_ONCE: usize = 64;

/// Watches, cutting the stream after a few messages, until this many transactions are final.
async fn watch_with_cuts(mut client: Client, mut cursor: String, wanted: usize) -> (Seen, u32) {
    let (mut seen, mut finals, mut cuts) = (Seen::new(), BTreeSet::new(), 0_u32);
    let mut random = 12345_u32;
    while finals.len() < wanted {
        let mut updates = watch(&mut client, &cursor).await.unwrap();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for _ in 0..(random >> 16) % 200 {
            let update = next(&mut updates).await;
            cursor = update.cursor;
            if let Some(transaction) = update.transaction {
                note(&mut seen, &transaction);
                // Changes after a final state, such as a late answer, are final too.
                if transaction.terminal {
                    finals.insert(transaction.reference_code);
                }
            }
            if finals.len() == wanted {
                break;
            }
        }
        cuts += 1;
    }
    (seen, cuts)
}

async fn watch_all_sees_every_revision_over_broken_connections(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    // On Redis the watcher uses another replica than buyers and callbacks.
    let replica = match kind {
        StoreKind::Redis => Some(world.start_replica().await),
        StoreKind::Embedded => None,
    };
    let mut watcher = replica.as_ref().unwrap_or(&gateway).client().await;
    let start = now(&mut watcher).await;
    let watching = tokio::spawn(watch_with_cuts(watcher.clone(), start.clone(), WATCHED));

    let client = gateway.client().await;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let kinds = [
        PLAIN,
        PENDING_THEN_SUCCESS,
        PENDING_THEN_FAILURE,
        CALLBACK_LOST,
    ];
    let buying = (0..WATCHED).map(|number| {
        let (mut client, slots) = (client.clone(), Arc::clone(&slots));
        tokio::spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let code = reference();
            buy(&mut client, &code, kinds[number % kinds.len()]).await;
            code
        })
    });
    let mut codes = Vec::new();
    for bought in buying.collect::<Vec<_>>() {
        codes.push(bought.await.unwrap());
    }
    let ended = tokio::time::timeout(PATIENCE * 3, watching).await;
    let (seen, cuts) = ended.expect("the watcher timed out").unwrap();
    assert!(cuts > 10, "{cuts}");
    assert_eq!(seen.len(), WATCHED);
    for code in &codes {
        let revisions = &seen[code];
        let last = *revisions.last().unwrap();
        assert_eq!(*revisions, (1..=last).collect::<Vec<_>>(), "{code}");
    }

    // A second watcher from the same start sees exactly the same events.
    let mut again = Seen::new();
    let mut updates = watch(&mut watcher, &start).await.unwrap();
    let mut missing: usize = seen.values().map(Vec::len).sum();
    while missing > 0 {
        let update = next(&mut updates).await;
        if let Some(transaction) = update.transaction {
            note(&mut again, &transaction);
            let code = &transaction.reference_code;
            let was_seen = again[code].len() <= seen[code].len();
            missing -= usize::from(was_seen);
        }
    }
    for (code, revisions) in &seen {
        assert_eq!(again[code][..revisions.len()], revisions[..], "{code}");
    }
}

const KILLS: usize = 6;
/// Purchases begun before each kill.
const BEGUN: usize = 150;
/// With fewer changes than this, a kill may not interrupt any.
const CHANGES_MIN: i64 = 500;

/// Starts purchases and returns their codes once this many are answered.
async fn begin_and_await(client: &Client, answered: usize) -> Vec<String> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let kinds = [PLAIN, PENDING_THEN_SUCCESS, CALLBACK_LOST];
    let codes: Vec<String> = (0..BEGUN).map(|_| reference()).collect();
    for (number, code) in codes.iter().enumerate() {
        let (mut client, slots, sender) = (client.clone(), Arc::clone(&slots), sender.clone());
        let request = order(code, kinds[number % kinds.len()]);
        tokio::spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            // Most of them fail, because the gateway is killed.
            if client.purchase_prepaid(request).await.is_ok() {
                let _ = sender.send(());
            }
        });
    }
    for _ in 0..answered {
        let answer = tokio::time::timeout(PATIENCE, receiver.recv()).await;
        answer.expect("no purchase was answered").unwrap();
    }
    codes
}

/// Returns the revision of a stored record and the stream ids of its events, from its head: 16 bytes
/// of token, then version, revision, state, kind of index and the ids.
fn events_of(head: &[u8]) -> (usize, Vec<String>) {
    let text = std::str::from_utf8(&head[16..]).unwrap();
    let words: Vec<&str> = text.split(' ').collect();
    let ids = words[4..].iter().map(|id| (*id).to_owned()).collect();
    (words[1].parse().unwrap(), ids)
}

/// Returns the key of an event's transaction: a zero byte and a UUID.
fn key_of(packed: &[u8]) -> String {
    assert_eq!((packed[0], packed.len()), (0, 17));
    hex::encode(&packed[1..])
}

/// Asserts on Redis itself that the stream has every revision of every record and that the numbers
/// of each stream have no gap. Returns the number of events.
async fn assert_every_change_has_its_event(redis: &Redis) -> i64 {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    // Commands of the dead gateway may still execute while its connection is open.
    let alone = async {
        let mut ask = redis::cmd("INFO");
        ask.arg("clients");
        while !ask
            .query_async::<String>(&mut connection)
            .await
            .unwrap()
            .contains("\nconnected_clients:1\r")
        {
            tokio::task::yield_now().await;
        }
    };
    let alone = tokio::time::timeout(PATIENCE, alone).await;
    alone.expect("another client is connected to Redis");
    let mut events = BTreeMap::<String, Vec<String>>::new();
    let mut count = 0;
    for stream in connection.keys("okb:*:events").await.unwrap() {
        let found = connection.xrange_all(&stream).await.unwrap();
        let mut last = 0_u64;
        for event in &found.ids {
            let number: u64 = event.get("number").unwrap();
            assert_eq!(number, last + 1, "{stream}");
            last = number;
            let key = key_of(&event.get::<Vec<u8>>("key").unwrap());
            events.entry(key).or_default().push(event.id.clone());
            count += 1;
        }
        let counted = connection.get(stream.replace(":events", ":number")).await;
        assert_eq!(counted.unwrap(), Some(last.to_string()), "{stream}");
    }
    let records = connection.keys("okb:*:tx:*").await.unwrap();
    assert_eq!(records.len(), events.len());
    for record in records {
        let mut get = redis::cmd("HGET");
        let get = get.arg(&record).arg("version");
        let head: Vec<u8> = get.query_async(&mut connection).await.unwrap();
        let (revision, ids) = events_of(&head);
        let (_, key) = record.split_once(":tx:").unwrap();
        assert_eq!((ids.len(), &ids), (revision, &events[key]), "{key}");
    }
    count
}

/// SIGKILL during many commits: a change and its event are stored together or not at all.
async fn killed_gateway_leaves_no_change_without_event(kind: StoreKind) {
    let world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let start = now(&mut gateway.client().await).await;
    let (mut codes, mut random) = (Vec::new(), 12345_u32);
    for kill in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let answered = 50 + (random >> 16) as usize % 64;
        codes.extend(begin_and_await(&gateway.client().await, answered).await);
        gateway.process.kill().await;
        if let Some(redis) = &world.redis {
            let count = assert_every_change_has_its_event(redis).await;
            assert!(kill + 1 < KILLS || count > CHANGES_MIN, "{count}");
        }
        gateway = world.start_gateway().await;
    }

    // A watcher from the first cursor receives every event.
    let mut client = gateway.client().await;
    let mut wanted = BTreeMap::new();
    for code in &codes {
        match get(&mut client, code).await {
            Ok(transaction) => drop(wanted.insert(code.clone(), transaction.revision)),
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
        }
    }
    let count: i64 = wanted.values().sum();
    assert!(count > CHANGES_MIN, "{count}");
    let mut seen = Seen::new();
    let mut updates = watch(&mut client, &start).await.unwrap();
    while !wanted.is_empty() {
        if let Some(transaction) = next(&mut updates).await.transaction {
            note(&mut seen, &transaction);
            let code = &transaction.reference_code;
            if wanted.get(code) == Some(&transaction.revision) {
                wanted.remove(code);
            }
        }
    }
    for (code, revisions) in &seen {
        let last = *revisions.last().unwrap();
        assert_eq!(*revisions, (1..=last).collect::<Vec<_>>(), "{code}");
    }
}

async fn watch_from_now_returns_cursor_first(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let start = now(&mut client).await;
    let old = reference();
    buy(&mut client, &old, PLAIN).await;
    let mut updates = watch(&mut client, "").await.unwrap();
    assert_eq!(next(&mut updates).await.transaction, None);
    let new = reference();
    buy(&mut client, &new, PLAIN).await;
    for revision in 1..=2 {
        let transaction = next_change(&mut updates).await;
        assert_eq!(
            (&transaction.reference_code, transaction.revision),
            (&new, revision)
        );
        assert_eq!(transaction.terminal, revision == 2);
    }
    // The earlier cursor still returns both.
    let mut updates = watch(&mut client, &start).await.unwrap();
    let first = next_change(&mut updates).await;
    assert_eq!((first.reference_code, first.revision), (old, 1));
}

async fn malformed_or_foreign_cursor_is_rejected(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let own = now(&mut client).await;
    let status = watch(&mut client, "nonsense").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("cursor: it is not a cursor"),
        "{status}"
    );

    let other_world = World::new(kind).await;
    let other = other_world.start_gateway().await;
    let status = watch(&mut other.client().await, &own).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(error_info(&status).0, "CURSOR_OUT_OF_RANGE");
}

#[tokio::test]
async fn watch_from_trimmed_cursor_is_out_of_range() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.partitions", "1");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let start = now(&mut client).await;
    buy(&mut client, &reference(), PLAIN).await;
    let redis = redis::Client::open(world.redis.as_ref().unwrap().url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut trim = redis::cmd("XTRIM");
    trim.arg("okb:{0}:events").arg("MAXLEN").arg(1);
    trim.query_async::<i64>(&mut connection).await.unwrap();
    let status = watch(&mut client, &start).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    // A new watch continues.
    let fresh = now(&mut client).await;
    let mut updates = watch(&mut client, &fresh).await.unwrap();
    let code = reference();
    buy(&mut client, &code, PLAIN).await;
    let transaction = next_change(&mut updates).await;
    assert_eq!(transaction.reference_code, code);
}

#[tokio::test]
async fn cursor_is_rejected_after_replica_promotion() {
    // A promoted replica may lack changes: its cursors are its own.
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let start = now(&mut client).await;
    let redis = world.redis.as_ref().unwrap();
    // A failover changes the replication id.
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    let status = watch(&mut client, &start).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let fresh = now(&mut client).await;
    assert_ne!(fresh, start);
}

#[tokio::test]
async fn watch_of_one_account_omits_others() {
    let mut world = World::new(StoreKind::Embedded).await;
    let _sandbox = world.add_account("second").await;
    world.set("limits.watch_heartbeat", "100ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let request = |accounts: &[&str], cursor: &str| WatchTransactionsRequest {
        accounts: accounts.iter().map(|name| (*name).to_owned()).collect(),
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    };
    let updates = client.watch_transactions(request(&["second"], "")).await;
    let mut updates = updates.unwrap().into_inner();
    let first = next(&mut updates).await.cursor;
    buy(&mut client, &reference(), PLAIN).await;
    let mut cursor = first.clone();
    while cursor == first {
        let heartbeat = next(&mut updates).await;
        assert_eq!(
            heartbeat.transaction, None,
            "the update must contain only a new cursor"
        );
        cursor = heartbeat.cursor;
    }
    let mut order = crate::support::world::order(&reference(), PLAIN);
    order.account = "second".into();
    client.purchase_prepaid(order.clone()).await.unwrap();
    let transaction = next_change(&mut updates).await;
    assert_eq!(transaction.reference_code, order.reference_code);
    let status = client.watch_transactions(request(&["nobody"], "")).await;
    assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn shutdown_ends_watch_all_with_reason() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let mut updates = watch(&mut gateway.client().await, "").await.unwrap();
    let cursor = next(&mut updates).await.cursor;
    gateway.process.signal("-TERM");
    let status = updates.message().await.unwrap_err();
    assert_eq!(
        error_info(&status),
        ("GATEWAY_STOPPING".into(), "maybe".into())
    );
    assert!(gateway.process.ended().await.success());
    // The same store under another process: the cursor is valid.
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut updates = watch(&mut client, &cursor).await.unwrap();
    let code = reference();
    buy(&mut client, &code, PLAIN).await;
    let transaction = next_change(&mut updates).await;
    assert_eq!(transaction.reference_code, code);
}

#[tokio::test]
async fn slow_watch_all_loses_no_event() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut updates = watch(&mut client, "").await.unwrap();
    // More events than the reader buffers for slow watchers.
    let count = 700;
    let code = reference();
    let buying = (0..10).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move {
            for _ in 0..count / 10 {
                buy(&mut client, &reference(), PLAIN).await;
            }
        })
    });
    for buyer in buying.collect::<Vec<_>>() {
        buyer.await.unwrap();
    }
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut seen = Seen::new();
    while seen.get(&code).is_none_or(|revisions| revisions.len() < 2) {
        if let Some(transaction) = next(&mut updates).await.transaction {
            note(&mut seen, &transaction);
        }
    }
    assert_eq!(seen.len(), count + 1);
    assert!(seen.values().all(|revisions| revisions[..2] == [1, 2]));
    assert_eq!(
        get(&mut client, &code).await.unwrap().state(),
        TransactionState::Pending
    );
}

on_both_stores!(
    watch_all_sees_every_revision_over_broken_connections,
    killed_gateway_leaves_no_change_without_event,
    watch_from_now_returns_cursor_first,
    malformed_or_foreign_cursor_is_rejected,
);
