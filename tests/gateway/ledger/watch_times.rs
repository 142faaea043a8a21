//! Promise 13 over time: heartbeats carry the position, and a stream that ends by age loses nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use okebayar_gateway::{
    ambient::Ambient,
    grpc::v1::{
        ResolveTransactionRequest, Transaction, TransactionResolution, TransactionState,
        WatchTransactionRequest, WatchTransactionResponse, WatchTransactionsRequest,
        WatchTransactionsResponse,
    },
    ledger::{Ledger, LedgerLimits, WatchError, WatchFilter, WatchTimes, hub::Pace},
    store::{Cursor, Store},
    telemetry::Metrics,
    transaction::{Labels, TransactionRef},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

use crate::support::{
    bench::{self, Bench, bench},
    core::wish,
    on_both_stores,
    process::PATIENCE,
    watch::request,
    world::{
        CALLBACK_LOST, Client, Gateway, PENDING_FOR_EVER, PLAIN, StoreKind, World, assert_refused,
        buy, get, order, reference,
    },
};

async fn next<T>(updates: &mut Streaming<T>) -> Option<T> {
    let next = tokio::time::timeout(PATIENCE, updates.message()).await;
    next.expect("no update arrived").unwrap()
}

async fn watch_one(
    client: &mut Client,
    request: WatchTransactionRequest,
) -> Streaming<WatchTransactionResponse> {
    client
        .watch_transaction(request)
        .await
        .unwrap()
        .into_inner()
}

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn labelled(pairs: &[(&str, &str)], cursor: &str) -> WatchTransactionsRequest {
    WatchTransactionsRequest {
        labels: labels(pairs),
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    }
}

async fn watch_all(
    client: &mut Client,
    request: WatchTransactionsRequest,
) -> Streaming<WatchTransactionsResponse> {
    client
        .watch_transactions(request)
        .await
        .unwrap()
        .into_inner()
}

/// Returns the transaction of the next response that has one.
async fn next_change(updates: &mut Streaming<WatchTransactionsResponse>) -> Transaction {
    loop {
        let update = next(updates).await.expect("the stream ended");
        if let Some(transaction) = update.transaction {
            return transaction;
        }
    }
}

/// Buys with a label, and returns the reference code.
async fn buy_with(client: &mut Client, label: (&str, &str)) -> String {
    let code = reference();
    let mut order = order(&code, PLAIN);
    order.labels = labels(&[label]);
    client.purchase_prepaid(order).await.unwrap();
    code
}

async fn quiet_watch_sends_heartbeats_and_ends_by_age(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .check_rarely()
        .set("limits.watch_heartbeat", "100ms")
        .set("limits.watch_age", "1s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let revision = buy(&mut client, &code, PENDING_FOR_EVER).await.revision;
    let mut updates = watch_one(&mut client, request(&code, 0)).await;
    let first = next(&mut updates).await.unwrap();
    assert_eq!(first.revision, revision);
    assert_eq!(first.transaction.unwrap().revision, revision);
    let mut heartbeats = 0;
    loop {
        let quiet = next(&mut updates).await.unwrap();
        assert_eq!((quiet.transaction, quiet.revision), (None, revision));
        if quiet.stream_expired {
            break;
        }
        heartbeats += 1;
    }
    assert!((1..=10).contains(&heartbeats), "{heartbeats}");
    assert!(
        next(&mut updates).await.is_none(),
        "the stream ends with OK"
    );

    // The next stream repeats nothing, and gets the change that happens meanwhile.
    let mut updates = watch_one(&mut client, request(&code, revision)).await;
    let report = format!("{}?referencecode={code}&status=000", world.callback_url());
    assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    loop {
        let update = next(&mut updates).await.expect("the stream ended");
        if let Some(transaction) = update.transaction {
            assert_eq!(transaction.revision, revision + 1);
            assert_eq!(update.revision, revision + 1);
            break;
        }
        assert_eq!(update.revision, revision);
        if update.stream_expired {
            updates = watch_one(&mut client, request(&code, revision)).await;
        }
    }
}

#[tokio::test]
async fn expired_watch_releases_its_place() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.watchers", "1")
        .set("limits.watch_heartbeat", "100ms")
        .set("limits.watch_age", "300ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        let mut updates = watch_all(&mut client, labelled(&[], "")).await;
        let mut last = next(&mut updates).await.unwrap();
        while let Some(update) = next(&mut updates).await {
            assert!(!last.stream_expired, "a response follows the last one");
            last = update;
        }
        assert!(last.stream_expired && last.transaction.is_none());
    }
}

/// The observations of a watcher that cut its streams: the revisions of each transaction, and the numbers of
/// streams cut at a heartbeat and of streams that ended by age.
#[derive(Default)]
struct Seen {
    revisions: BTreeMap<String, Vec<i64>>,
    cut: usize,
    expired: usize,
}

/// Watches shop a from a cursor until this many of its transactions are final; resumes from
/// heartbeats and after the ends of streams.
async fn watch_with_cuts(mut client: Client, mut cursor: String, wanted: usize) -> Seen {
    let (mut seen, mut finals, mut random) = (Seen::default(), 0, 12345_u32);
    while finals < wanted {
        let mut updates = watch_all(&mut client, labelled(&[("shop", "a")], &cursor)).await;
        while let Some(update) = next(&mut updates).await {
            cursor = update.cursor;
            if update.stream_expired {
                assert!(next(&mut updates).await.is_none());
                seen.expired += 1;
                break;
            }
            if let Some(transaction) = update.transaction {
                assert_eq!(transaction.labels["shop"], "a");
                finals += usize::from(transaction.terminal);
                let revisions = seen.revisions.entry(transaction.reference_code);
                revisions.or_default().push(transaction.revision);
                continue;
            }
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if random >> 28 == 0 {
                seen.cut += 1;
                break;
            }
        }
    }
    seen
}

async fn resumed_watches_lose_and_repeat_nothing(kind: StoreKind) {
    const BOUGHT: usize = 300;
    let mut world = World::new(kind).await;
    world
        .set("limits.watch_heartbeat", "4ms")
        .set("limits.watch_age", "50ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let first = watch_all(&mut client, labelled(&[], ""))
        .await
        .message()
        .await;
    let start = first.unwrap().unwrap().cursor;
    let watching = tokio::spawn(watch_with_cuts(client.clone(), start.clone(), BOUGHT / 2));
    let slots = Arc::new(Semaphore::new(8));
    let buying = (0..BOUGHT).map(|number| {
        let (mut client, slots) = (client.clone(), Arc::clone(&slots));
        tokio::spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let shop = if number % 2 == 0 { "a" } else { "b" };
            buy_with(&mut client, ("shop", shop)).await;
        })
    });
    for bought in buying.collect::<Vec<_>>() {
        bought.await.unwrap();
    }
    let live = tokio::time::timeout(PATIENCE, watching).await;
    let live = live.expect("the watcher timed out").unwrap();
    assert!(
        live.cut > 0 && live.expired > 0,
        "{} {}",
        live.cut,
        live.expired
    );
    // The same from the start again, out of the store.
    let again = watch_with_cuts(client, start, BOUGHT / 2);
    let again = tokio::time::timeout(PATIENCE, again).await;
    for seen in [live, again.expect("the watcher timed out")] {
        assert_eq!(seen.revisions.len(), BOUGHT / 2);
        for (code, revisions) in &seen.revisions {
            assert_eq!(*revisions, [1, 2], "{code}");
        }
    }
}

/// Waits for a heartbeat at the newest position of the store.
async fn until_newest(
    client: &mut Client,
    updates: &mut Streaming<WatchTransactionsResponse>,
) -> String {
    let head = watch_all(client, labelled(&[], "")).await.message().await;
    let head = Cursor::decode(&head.unwrap().unwrap().cursor).unwrap();
    loop {
        let update = next(updates).await.expect("the stream ended");
        assert_eq!(update.transaction, None, "the filter excludes every event");
        if Cursor::decode(&update.cursor).unwrap() == head {
            return update.cursor;
        }
    }
}

#[tokio::test]
async fn filtered_watcher_resumes_from_heartbeat_over_trimmed_events() {
    let mut world = World::new(StoreKind::Redis).await;
    let _sandbox = world.add_account("second").await;
    world
        .set("store.partitions", "1")
        .set("limits.watch_heartbeat", "100ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let by_account = |cursor: &str| WatchTransactionsRequest {
        accounts: vec!["second".to_owned()],
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    };
    let by_label = |cursor: &str| labelled(&[("shop", "a")], cursor);
    let mut of_account = watch_all(&mut client, by_account("")).await;
    let mut of_label = watch_all(&mut client, by_label("")).await;
    let old = next(&mut of_account).await.unwrap().cursor;
    next(&mut of_label).await.unwrap();
    for _ in 0..20 {
        buy_with(&mut client, ("shop", "b")).await;
    }
    let account_position = until_newest(&mut client, &mut of_account).await;
    let label_position = until_newest(&mut client, &mut of_label).await;
    // A watcher that resumes reads the events of others from the store.
    let mut caught_up = watch_all(&mut client, by_label(&old)).await;
    let store_position = until_newest(&mut client, &mut caught_up).await;

    let redis = redis::Client::open(world.redis.as_ref().unwrap().url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut trim = redis::cmd("XTRIM");
    trim.arg("okb:{0}:events").arg("MAXLEN").arg(0);
    trim.query_async::<i64>(&mut connection).await.unwrap();
    for request in [by_account(&old), by_label(&old)] {
        let refused = client.watch_transactions(request).await.map(drop);
        assert_refused(refused, Code::OutOfRange, "CURSOR_OUT_OF_RANGE", "maybe");
    }
    let mut order = order(&reference(), PLAIN);
    order.account = "second".to_owned();
    order.labels = labels(&[("shop", "a")]);
    client.purchase_prepaid(order.clone()).await.unwrap();
    for request in [
        by_account(&account_position),
        by_label(&label_position),
        by_label(&store_position),
    ] {
        let mut updates = watch_all(&mut client, request).await;
        let change = next_change(&mut updates).await;
        assert_eq!(change.reference_code, order.reference_code);
        assert_eq!(change.revision, 1);
    }
}

async fn watch_by_labels_returns_transactions_with_all_of_them(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let wanted = [("shop", "a"), ("till", "2")];
    let mut updates = watch_all(&mut client, labelled(&wanted, "")).await;
    let start = next(&mut updates).await.unwrap().cursor;
    buy(&mut client, &reference(), PLAIN).await;
    buy_with(&mut client, ("shop", "a")).await;
    let mut order = order(&reference(), PLAIN);
    order.labels = labels(&[("shop", "a"), ("till", "2"), ("desk", "")]);
    client.purchase_prepaid(order.clone()).await.unwrap();
    // Live, and out of the store.
    let resumed = watch_all(&mut client, labelled(&wanted, &start)).await;
    for mut updates in [updates, resumed] {
        for revision in 1..=2 {
            let change = next_change(&mut updates).await;
            assert_eq!(change.reference_code, order.reference_code);
            assert_eq!((change.revision, &change.labels), (revision, &order.labels));
        }
    }
    let long = "x".repeat(65);
    for invalid in [&[("", "a")], &[("shop", long.as_str())], &[("a\n", "b")]] {
        let refused = client.watch_transactions(labelled(invalid, "")).await;
        let code = Code::InvalidArgument;
        let status = assert_refused(refused.map(drop), code, "INVALID_REQUEST", "no");
        assert!(status.message().starts_with("labels: "), "{status}");
        assert!(!status.message().contains(&long), "it quotes a label");
    }
}

/// Creates a transaction that awaits an operator.
async fn in_review(gateway: &Gateway) -> Transaction {
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    gateway
        .until(&code, |one| one.state() == TransactionState::NeedsReview)
        .await
}

fn until_terminal(code: &str, after_revision: i64) -> WatchTransactionRequest {
    WatchTransactionRequest {
        until_terminal: true,
        ..request(code, after_revision)
    }
}

async fn watch_until_terminal_waits_for_operator(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .set("checks.give_up_after", "300ms")
        .set("limits.watch_heartbeat", "100ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let open = in_review(&gateway).await;
    let code = &open.reference_code;
    // Without the field, NEEDS_REVIEW is the end, also of a watch that resumes there.
    for after in [0, open.revision] {
        let mut updates = watch_one(&mut client, request(code, after)).await;
        let last = next(&mut updates).await.unwrap();
        assert_eq!(last.revision, open.revision);
        assert_eq!(last.transaction.as_ref(), Some(&open));
        assert!(next(&mut updates).await.is_none());
    }
    // With it, the watch that resumes there gets a heartbeat instead of the same revision again.
    let mut fresh = watch_one(&mut client, until_terminal(code, 0)).await;
    let first = next(&mut fresh).await.unwrap().transaction;
    assert_eq!(first.as_ref(), Some(&open));
    let mut resumed = watch_one(&mut client, until_terminal(code, open.revision)).await;
    for updates in [&mut fresh, &mut resumed] {
        let heartbeat = next(updates).await.expect("the stream ended");
        assert_eq!(heartbeat.transaction, None);
        assert_eq!(heartbeat.revision, open.revision);
    }
    let ruling = ResolveTransactionRequest {
        reference_code: code.clone(),
        revision: open.revision,
        resolution: TransactionResolution::Failed.into(),
        operator: "siti@example".into(),
        note: "ticket 4711".into(),
        ..ResolveTransactionRequest::default()
    };
    client.resolve_transaction(ruling).await.unwrap();
    for updates in [&mut fresh, &mut resumed] {
        let settled = loop {
            let update = next(updates).await.expect("the stream ended");
            if let Some(transaction) = update.transaction {
                break transaction;
            }
        };
        assert_eq!(settled.state(), TransactionState::Failed);
        assert_eq!(settled.revision, open.revision + 1);
        assert!(next(updates).await.is_none());
    }
}

async fn watch_until_terminal_ends_at_not_sent(kind: StoreKind) {
    let world = World::without_sandbox(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = client.purchase_prepaid(order(&code, CALLBACK_LOST)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.state(), TransactionState::NotSent);
    for after in [0, stored.revision] {
        let mut updates = watch_one(&mut client, until_terminal(&code, after)).await;
        let last = next(&mut updates).await.unwrap().transaction;
        assert_eq!(last.as_ref(), Some(&stored));
        assert!(next(&mut updates).await.is_none());
    }
}

/// Returns a ledger over the store of a bench whose watches have these times. It has no reader of
/// all events: its watchers read the store.
fn ledger(bench: &Bench, heartbeat: Duration, age: Duration) -> Arc<Ledger> {
    let hour = Duration::from_hours(1);
    let limits = LedgerLimits {
        watchers: 64,
        watch_times: WatchTimes { heartbeat, age },
        waiters: 1,
        pace: Pace {
            disconnected: hour,
            connected: hour,
        },
    };
    Arc::new(Ledger::new(
        Arc::clone(&bench.store) as Arc<dyn Store>,
        Arc::clone(&bench.gateway.accounts),
        bench.gateway.hub.clone(),
        limits,
        Metrics::default(),
        Ambient::system(),
        CancellationToken::new(),
    ))
}

const LONG: Duration = Duration::from_hours(1);
const EVENTS: usize = 8;

/// Makes four purchases, of two events each; returns the cursor before them.
async fn bought(bench: &Bench) -> Cursor {
    let start = bench.store.events_head().await.unwrap();
    for number in 0..EVENTS / 2 {
        let intent = wish(&format!("reference-{number}"), "PULSA10").0;
        bench::buy(&bench.gateway, intent).await.unwrap();
    }
    start
}

/// Awaits the next result of a watch in this process.
async fn result<T>(next: impl Future<Output = Result<Option<T>, WatchError>>) -> Option<T> {
    let next = tokio::time::timeout(PATIENCE, next).await;
    next.expect("the watch has no result").unwrap()
}

/// Returns the reference code and the revision of the first change after a cursor.
async fn first_after(ledger: &Arc<Ledger>, cursor: Cursor) -> (String, u64) {
    let mut watch = ledger
        .watch_all(WatchFilter::default(), Some(cursor))
        .await
        .unwrap();
    let change = result(watch.next()).await.unwrap().transaction.unwrap();
    (change.reference_code().to_string(), change.revision())
}

#[tokio::test]
async fn heartbeat_in_backlog_is_position_after_last_considered_event() {
    let bench = bench(&[], &[]).await;
    let start = bought(&bench).await;
    let calm = ledger(&bench, LONG, LONG);
    // A heartbeat is always due, so one follows each event that the filter excludes.
    let hasty = ledger(&bench, Duration::from_nanos(1), LONG);
    let no_one = labels(&[("shop", "none")]);
    let filter = WatchFilter {
        labels: Labels::parse(no_one).unwrap(),
        ..WatchFilter::default()
    };
    let mut all = calm
        .watch_all(WatchFilter::default(), Some(start.clone()))
        .await
        .unwrap();
    let mut few = hasty.watch_all(filter, Some(start)).await.unwrap();
    for _ in 0..EVENTS {
        let event = result(all.next()).await.unwrap();
        assert!(event.transaction.is_some());
        let heartbeat = result(few.next()).await.unwrap();
        assert!(heartbeat.transaction.is_none() && !heartbeat.expired);
        assert_eq!(heartbeat.cursor, event.cursor);
    }
    let last = result(few.next()).await.unwrap();
    assert!(last.transaction.is_none(), "the backlog is read");
}

#[tokio::test]
async fn heartbeats_that_are_always_due_delay_no_event() {
    let bench = bench(&[], &[]).await;
    let start = bought(&bench).await;
    let hasty = ledger(&bench, Duration::from_nanos(1), LONG);
    let mut all = hasty
        .watch_all(WatchFilter::default(), Some(start))
        .await
        .unwrap();
    for _ in 0..EVENTS {
        assert!(result(all.next()).await.unwrap().transaction.is_some());
    }
}

#[tokio::test]
async fn watch_that_expires_before_pending_events_leaves_them_to_the_next() {
    let bench = bench(&[], &[]).await;
    let start = bought(&bench).await;
    let calm = ledger(&bench, LONG, LONG);
    let expired = ledger(&bench, LONG, Duration::ZERO);
    let expected = first_after(&calm, start.clone()).await;
    let mut all = expired
        .watch_all(WatchFilter::default(), Some(start))
        .await
        .unwrap();
    let end = result(all.next()).await.unwrap();
    assert!(end.expired && end.transaction.is_none());
    assert!(result(all.next()).await.is_none());
    let cursor = Cursor::decode(&end.cursor).unwrap();
    assert_eq!(first_after(&calm, cursor).await, expected);

    let named = || TransactionRef {
        account: None,
        key: wish("reference-0", "PULSA10").0.key(),
    };
    // From the start, and before the final revision.
    for after in [0, 1] {
        let mut one = expired.watch(named(), after, false).await.unwrap();
        let end = result(one.next()).await.unwrap();
        assert!(end.expired && end.transaction.is_none());
        assert_eq!(end.revision, after);
        assert!(result(one.next()).await.is_none());
        let mut resumed = calm.watch(named(), end.revision, false).await.unwrap();
        let change = result(resumed.next()).await.unwrap();
        assert_eq!((change.revision, change.expired), (2, false));
        assert_eq!(change.transaction.unwrap().revision(), 2);
        assert!(result(resumed.next()).await.is_none());
    }
}

on_both_stores!(
    quiet_watch_sends_heartbeats_and_ends_by_age,
    resumed_watches_lose_and_repeat_nothing,
    watch_by_labels_returns_transactions_with_all_of_them,
    watch_until_terminal_waits_for_operator,
    watch_until_terminal_ends_at_not_sent,
);
