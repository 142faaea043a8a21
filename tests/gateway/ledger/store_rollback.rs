//! A store rolled back to an earlier state under running gateways: watchers and waiters are
//! notified promptly (promise 13), without a conclusion about sending.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, CheckTransactionResponse, Transaction, TransactionState, WaitUntil,
    WatchTransactionRequest, WatchTransactionResponse, WatchTransactionsRequest,
};
use redis::{AsyncTypedCommands, aio::MultiplexedConnection};
use tonic::{Code, Status, Streaming};

use crate::support::{
    metrics,
    process::PATIENCE,
    world::{
        Client, Gateway, PENDING_FOR_EVER, SLOW, StoreKind, World, assert_refused,
        assert_succeeded, bought, buy, get, order, reference, start_purchase,
    },
};

/// Longer than any test waits: whatever ends sooner ends because of the rollback.
const LONG: &str = "1h";

async fn connection(world: &World) -> MultiplexedConnection {
    let client = redis::Client::open(world.redis.as_ref().unwrap().url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Dumps every key of Redis.
async fn copy(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut connection = connection(world).await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    let mut all = Vec::new();
    for key in keys {
        let dump: Option<Vec<u8>> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .unwrap();
        // A note may have expired meanwhile.
        all.extend(dump.map(|dump| (key, dump)));
    }
    all
}

/// Replaces the contents of Redis by a copy in one transaction, as a restore does; without a copy,
/// empties it.
async fn roll_back(world: &World, copy: &[(String, Vec<u8>)]) {
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("FLUSHALL").ignore();
    for (key, dump) in copy {
        pipeline.cmd("RESTORE").arg(key).arg(0).arg(dump).ignore();
    }
    let mut connection = connection(world).await;
    let () = pipeline.query_async(&mut connection).await.unwrap();
}

/// Creates a purchase that stays pending after its OKEBAYAR is stopped: only the test changes it.
async fn pending() -> (World, Gateway, String) {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let bought = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    assert_eq!(bought.state(), TransactionState::Pending);
    world.sandbox.as_mut().unwrap().kill().await;
    (world, gateway, code)
}

/// Reports a status by callback, which adds a revision.
async fn report(world: &World, gateway: &Gateway, code: &str, status: &str) -> Transaction {
    let mut client = gateway.client().await;
    let before = get(&mut client, code).await.unwrap().revision;
    let url = format!(
        "{}?referencecode={code}&status={status}",
        world.callback_url()
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
    // The requested check reaches no upstream, which adds no revision.
    let reported = get(&mut client, code).await.unwrap();
    assert_eq!(reported.revision, before + 1);
    reported
}

async fn watch(client: &mut Client, code: &str, after: i64) -> Streaming<WatchTransactionResponse> {
    let request = WatchTransactionRequest {
        reference_code: code.to_owned(),
        after_revision: after,
        ..WatchTransactionRequest::default()
    };
    client
        .watch_transaction(request)
        .await
        .unwrap()
        .into_inner()
}

async fn next<T: std::fmt::Debug>(updates: &mut Streaming<T>) -> Result<Option<T>, Status> {
    let next = tokio::time::timeout(PATIENCE, updates.message()).await;
    next.expect("the watch was never ended")
}

async fn next_transaction(updates: &mut Streaming<WatchTransactionResponse>) -> Transaction {
    loop {
        let update = next(updates).await.unwrap().expect("the stream ended");
        // A heartbeat has none.
        if let Some(transaction) = update.transaction {
            return transaction;
        }
    }
}

#[tokio::test]
async fn watch_is_rejected_after_rollback_before_seen_revision() {
    let (world, gateway, code) = pending().await;
    let earlier = copy(&world).await;
    let reported = report(&world, &gateway, &code, "000").await;
    let mut client = gateway.client().await;
    let mut updates = watch(&mut client, &code, 0).await;
    assert_eq!(
        next_transaction(&mut updates).await.revision,
        reported.revision
    );
    let mut resumed = watch(&mut client, &code, reported.revision).await;
    roll_back(&world, &earlier).await;
    for updates in [&mut updates, &mut resumed] {
        let refused = next(updates).await;
        assert_refused(refused, Code::OutOfRange, "REVISION_OUT_OF_RANGE", "maybe");
    }
    // From revision 0 it continues with the store's present contents.
    let again = next_transaction(&mut watch(&mut client, &code, 0).await).await;
    assert_eq!(again.revision, reported.revision - 1);
}

#[tokio::test]
async fn watch_is_rejected_when_seen_revision_became_another_change() {
    let (world, gateway, code) = pending().await;
    let earlier = copy(&world).await;
    let other = report(&world, &gateway, &code, "203").await;
    let otherwise = copy(&world).await;
    roll_back(&world, &earlier).await;
    let reported = report(&world, &gateway, &code, "000").await;
    assert_eq!(reported.revision, other.revision);
    let mut client = gateway.client().await;
    let mut updates = watch(&mut client, &code, 0).await;
    assert_eq!(
        next_transaction(&mut updates).await.reported_status_code,
        "000"
    );
    roll_back(&world, &otherwise).await;
    let refused = next(&mut updates).await;
    assert_refused(refused, Code::OutOfRange, "REVISION_OUT_OF_RANGE", "maybe");
}

#[tokio::test]
async fn watch_is_rejected_when_later_revisions_lack_seen_change() {
    let (world, gateway, code) = pending().await;
    let earlier = copy(&world).await;
    report(&world, &gateway, &code, "203").await;
    let other = report(&world, &gateway, &code, "204").await;
    let otherwise = copy(&world).await;
    roll_back(&world, &earlier).await;
    let reported = report(&world, &gateway, &code, "000").await;
    assert_eq!(reported.revision + 1, other.revision);
    let mut client = gateway.client().await;
    let mut updates = watch(&mut client, &code, 0).await;
    assert_eq!(
        next_transaction(&mut updates).await.revision,
        reported.revision
    );
    roll_back(&world, &otherwise).await;
    let refused = next(&mut updates).await;
    assert_refused(refused, Code::OutOfRange, "REVISION_OUT_OF_RANGE", "maybe");
}

#[tokio::test]
async fn watch_all_is_rejected_after_rollback() {
    let (world, gateway, code) = pending().await;
    let earlier = copy(&world).await;
    let mut client = gateway.client().await;
    let mut watching = Vec::new();
    for _ in 0..5 {
        let request = WatchTransactionsRequest::default();
        let updates = client.watch_transactions(request).await.unwrap();
        let mut updates = updates.into_inner();
        let first = next(&mut updates).await.unwrap().unwrap();
        assert_eq!(first.transaction, None);
        watching.push(updates);
    }
    report(&world, &gateway, &code, "000").await;
    for updates in &mut watching {
        let update = next(updates).await.unwrap().unwrap();
        assert_eq!(update.transaction.unwrap().reference_code, code);
    }
    roll_back(&world, &earlier).await;
    for updates in &mut watching {
        let refused = next(updates).await;
        assert_refused(refused, Code::OutOfRange, "CURSOR_OUT_OF_RANGE", "maybe");
    }
}

/// Waits until a call waits for an outcome.
async fn until_waiting(gateway: &Gateway) {
    metrics::until(gateway, "okebayar_waiters", "", |count| count >= 1.0).await;
}

#[tokio::test]
async fn waiting_purchase_is_answered_after_store_lost_it() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut request = order(&code, PENDING_FOR_EVER);
    request.wait_until = WaitUntil::Terminal.into();
    let waiting = start_purchase(gateway.client().await, request);
    until_waiting(&gateway).await;
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    gateway
        .until(&code, |one| one.state() == TransactionState::Pending)
        .await;
    roll_back(&world, &[]).await;
    let answer = tokio::time::timeout(PATIENCE, waiting).await;
    let answer = answer.expect("the call timed out").unwrap();
    assert_refused(answer, Code::Unavailable, "OUTCOME_UNREADABLE", "maybe");
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn check(client: &mut Client, code: &str) -> Result<CheckTransactionResponse, Status> {
    let request = CheckTransactionRequest {
        reference_code: code.to_owned(),
        ..CheckTransactionRequest::default()
    };
    Ok(client.check_transaction(request).await?.into_inner())
}

/// Starts a gateway whose requested checks are made much later, and a caller that waits for one.
async fn waiting_for_check() -> (
    World,
    Gateway,
    Vec<(String, Vec<u8>)>,
    tokio::task::JoinHandle<Result<CheckTransactionResponse, Status>>,
) {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .check_rarely()
        .set("checks.callback_interval_min", LONG)
        .set("accounts.main.timeout", LONG);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let earlier = copy(&world).await;
    assert!(check(&mut client, &code).await.unwrap().checked);
    let waiting = tokio::spawn(async move { check(&mut client, &code).await });
    until_waiting(&gateway).await;
    (world, gateway, earlier, waiting)
}

#[tokio::test]
async fn waiting_check_returns_rolled_back_state() {
    let (world, _gateway, earlier, waiting) = waiting_for_check().await;
    // The caller's request for a check is a version of its own.
    roll_back(&world, &earlier).await;
    let answer = tokio::time::timeout(PATIENCE, waiting).await;
    let answer = answer.expect("the call timed out").unwrap().unwrap();
    assert_eq!(
        answer.transaction.unwrap().state(),
        TransactionState::Pending
    );
}

#[tokio::test]
async fn waiting_check_reports_lost_transaction() {
    let (world, _gateway, _, waiting) = waiting_for_check().await;
    roll_back(&world, &[]).await;
    let answer = tokio::time::timeout(PATIENCE, waiting).await;
    let answer = answer.expect("the call timed out").unwrap();
    assert_refused(answer, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
}

/// The sender of a purchase rewrites its record: the watcher sees the outcome.
#[tokio::test]
async fn watch_continues_over_record_rewritten_by_its_sender() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    // Polling is disabled in effect: the watcher sees the record only before and after.
    world
        .check_rarely()
        .set("events.safety_poll_interval", LONG)
        .set("events.poll_interval", LONG);
    let slow = ["--settle-after", "2s"];
    let user = crate::support::world::USER_ID;
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, user, &slow).await);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let buying = start_purchase(client.clone(), order(&code, SLOW));
    world.ledger_when(&code, "received=1").await;
    let mut updates = watch(&mut client, &code, 0).await;
    assert_eq!(
        next_transaction(&mut updates).await.state(),
        TransactionState::Sending
    );
    roll_back(&world, &[]).await;
    let settled = next_transaction(&mut updates).await;
    assert_eq!(
        (settled.revision, settled.state()),
        (2, TransactionState::Succeeded)
    );
    assert!(next(&mut updates).await.unwrap().is_none());
    let answer = tokio::time::timeout(PATIENCE, buying).await.unwrap();
    assert_succeeded(&bought(answer.unwrap().unwrap().into_inner()));
}
