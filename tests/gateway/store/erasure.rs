//! The erasure of personal data from final transactions.

use std::{collections::BTreeMap, path::Path};

use jiff::SignedDuration;
use okebayar_gateway::{
    grpc::v1::{
        CheckTransactionRequest, GetTransactionRequest, ListTransactionsRequest, Transaction,
        TransactionState, WatchTransactionsRequest, get_transaction_request::Code as GetCode,
    },
    store::{Events, Store},
    transaction::{FailureReason, Finding, Source, Statement},
};
use redb::{Database, ReadableDatabase, TableDefinition};
use redis::AsyncTypedCommands;
use tonic::Code;

use super::{
    contract::{done as stored, open_redis},
    schema_upgrade::set_schema,
};
use tonic_types::StatusExt;

use crate::support::{
    accounts::{done, refused},
    bills::ANNA,
    core::{at, begin, schedule},
    on_both_stores,
    process::PATIENCE,
    redis::Redis,
    stored_bytes::{everything, holds},
    watch::watch,
    world::{
        Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN, StoreKind, WATER, World,
        assert_refused, bought, buy, get, order, pay, payment, reference,
    },
};

const RECIPIENT: &str = "082233445566";

/// Stops the gateway of an embedded store, which a command needs for itself.
async fn stop(world: &World, gateway: &mut Gateway) {
    if world.redis.is_none() {
        gateway.process.signal("-TERM");
        gateway.process.ended().await;
    }
}

async fn start_again(world: &World, gateway: Gateway) -> Gateway {
    if world.redis.is_some() {
        return gateway;
    }
    drop(gateway);
    world.start_gateway().await
}

/// Watches all transactions from a cursor until `count` changes have come; without one, returns the
/// present cursor.
async fn watch_all(client: &mut Client, cursor: &str, count: usize) -> (Vec<Transaction>, String) {
    let request = WatchTransactionsRequest {
        cursor: cursor.to_owned(),
        ..WatchTransactionsRequest::default()
    };
    let mut updates = client
        .watch_transactions(request)
        .await
        .unwrap()
        .into_inner();
    let (mut seen, mut last) = (Vec::new(), cursor.to_owned());
    while seen.len() < count || last.is_empty() {
        let update = tokio::time::timeout(PATIENCE, updates.message()).await;
        let update = update.expect("no change came").unwrap().unwrap();
        last = update.cursor;
        seen.extend(update.transaction);
    }
    (seen, last)
}

async fn listed(client: &mut Client) -> Vec<Transaction> {
    let all = client.list_transactions(ListTransactionsRequest::default());
    all.await.unwrap().into_inner().transactions
}

async fn erased_transaction_keeps_its_outcome_and_is_never_sent_again(kind: StoreKind) {
    let world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (_, start) = watch_all(&mut client, "", 0).await;
    let (code, other) = (reference(), reference());
    let mut request = order(&code, RECIPIENT);
    request.labels = BTreeMap::from([("customer".to_owned(), "budi-santoso".to_owned())])
        .into_iter()
        .collect();
    let before = bought(
        client
            .purchase_prepaid(request.clone())
            .await
            .unwrap()
            .into_inner(),
    );
    buy(&mut client, &other, "081199887766").await;
    assert!(before.terminal && before.serial_number.len() > 6);

    stop(&world, &mut gateway).await;
    let output = refused(&world, &["store", "erase", &code]).await;
    assert!(
        output.contains("add --yes to erase them; nothing is changed"),
        "{output}"
    );
    let output = done(&world, &["store", "erase", &code, "--yes"]).await;
    assert!(
        output.contains("erased, with 2 earlier events; it is still SUCCEEDED"),
        "{output}"
    );
    let output = done(&world, &["store", "erase", &code, "--yes"]).await;
    assert!(output.contains("with 0 earlier events"), "{output}");
    let gateway = start_again(&world, gateway).await;
    let mut client = gateway.client().await;

    let after = get(&mut client, &code).await.unwrap();
    assert_eq!(after.account_number, "erased");
    assert_eq!(after.serial_number, "erased");
    assert!(after.labels.is_empty());
    let outcome = |of: &Transaction| {
        (
            (
                of.state,
                of.terminal,
                of.product_code.clone(),
                of.price.clone(),
            ),
            (of.trace_code.clone(), of.create_time, of.transaction_time),
            (
                of.status_code.clone(),
                of.balance.clone(),
                of.account.clone(),
            ),
        )
    };
    assert_eq!(outcome(&after), outcome(&before));
    assert_eq!(after.revision, before.revision + 1);

    // The same contents are replayed, others are refused, and nothing is sent (promise 5).
    let again = client
        .purchase_prepaid(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(bought(again), after);
    let mut others = request;
    "082233445567".clone_into(&mut others.account_number);
    let refusal = client.purchase_prepaid(others).await;
    let status = assert_refused(
        refusal,
        Code::AlreadyExists,
        "REFERENCE_CODE_REUSED",
        "maybe",
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["field"], "contents");
    // OKEBAYAR repeats its callback, with everything.
    let report = format!(
        "{}?referencecode={code}&status=000&tracecode={}&serialnumber={}&accnumber={RECIPIENT}",
        world.callback_url(),
        before.trace_code,
        before.serial_number
    );
    assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    assert_eq!(world.ledger(&code).await.received, 1);
    assert_check_is_believed(&mut client, &before).await;

    let of = Erased {
        world: &world,
        before: &before,
        other: &other,
    };
    of.assert_unreadable(&mut client, &start).await;
}

/// Asserts that a check is answered about the transaction: the record does not know the recipient any
/// more.
async fn assert_check_is_believed(client: &mut Client, before: &Transaction) {
    let check = CheckTransactionRequest {
        reference_code: before.reference_code.clone(),
        ..CheckTransactionRequest::default()
    };
    let checked = client.check_transaction(check).await.unwrap().into_inner();
    assert!(checked.checked, "{checked:#?}");
    let checked = checked.transaction.unwrap();
    assert_eq!(
        (checked.state, &checked.price),
        (before.state, &before.price)
    );
    let time = |of: &Transaction| of.transaction_time.map(|time| (time.seconds, time.nanos));
    assert!(time(&checked) > time(before), "the answer is believed");
}

/// An erased purchase beside another one that is not.
struct Erased<'a> {
    world: &'a World,
    before: &'a Transaction,
    other: &'a str,
}

impl Erased<'_> {
    /// Asserts that readers of the past see every revision, none with personal data.
    async fn assert_unreadable(&self, client: &mut Client, start: &str) {
        let Self {
            world,
            before,
            other,
        } = self;
        let revisions = watch(client, &before.reference_code, 1).await.unwrap();
        let numbers: Vec<i64> = revisions.iter().map(|seen| seen.revision).collect();
        assert!(numbers.starts_with(&[2, 3]), "{numbers:?}");
        let (changes, _) = watch_all(client, start, 5).await;
        let of_other = changes.iter().filter(|seen| seen.reference_code == *other);
        assert_eq!(of_other.count(), 2, "its events are not touched");
        let listed = listed(client).await;
        assert_eq!(listed.len(), 2);
        let named = GetTransactionRequest {
            code: Some(GetCode::TraceCode(before.trace_code.clone())),
            ..GetTransactionRequest::default()
        };
        let found = client.get_transaction(named).await.unwrap().into_inner();
        let found = found.transaction.unwrap();
        for seen in revisions
            .iter()
            .chain(&changes)
            .chain(&listed)
            .chain([&found])
        {
            let text = format!("{} {:?}", seen.account_number, seen.labels);
            assert!(
                !text.contains(RECIPIENT) && !text.contains("budi"),
                "{text}"
            );
            assert_ne!(seen.serial_number, before.serial_number);
        }
        if let Some(redis) = &world.redis {
            let bytes = everything(redis).await;
            assert!(holds(&bytes, "okb:{"), "the store was read");
            assert!(!holds(&bytes, &before.serial_number));
        }
    }
}

async fn bill_is_erased_and_stays_paid(kind: StoreKind) {
    let world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (bill, beside) = (
        gateway.bill(WATER, ANNA).await,
        gateway.bill(WATER, ANNA).await,
    );
    let code = reference();
    let paid = pay(&mut client, &code, &bill).await.unwrap();
    assert_eq!(paid.state(), TransactionState::Succeeded);
    stop(&world, &mut gateway).await;
    done(&world, &["store", "erase", &code, "--yes"]).await;
    let gateway = start_again(&world, gateway).await;
    let mut client = gateway.client().await;
    let erased = get(&mut client, &code).await.unwrap();
    assert_eq!(
        (erased.price.clone(), erased.state),
        (paid.price, paid.state)
    );
    assert!(!format!("{erased:?}").contains(ANNA));
    let again = client.pay_postpaid(payment(&code, &bill)).await.unwrap();
    assert!(again.into_inner().replayed);
    // An inquiry from before the payment cannot be paid any more (promise 18).
    let other = reference();
    let refusal = pay(&mut client, &other, &beside).await;
    assert!(refusal.is_err(), "{refusal:?}");
    assert_eq!(world.ledger(&other).await.received, 0);
}

async fn transaction_that_is_not_final_is_not_erased(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    stop(&world, &mut gateway).await;
    let output = refused(&world, &["store", "erase", &code, "--yes"]).await;
    assert!(
        output.contains("it is PENDING, which is not final"),
        "{output}"
    );
    let output = refused(&world, &["store", "erase", &reference(), "--yes"]).await;
    assert!(output.contains("there is no transaction"), "{output}");
    let gateway = start_again(&world, gateway).await;
    let kept = get(&mut gateway.client().await, &code).await.unwrap();
    assert_eq!(kept.account_number, PENDING_FOR_EVER);
}

/// Returns the row of a record of a closed embedded store.
fn row_of(file: &Path, code: &str) -> Vec<u8> {
    let database = Database::open(file).unwrap();
    let records: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
    let read = database.begin_read().unwrap();
    let table = read.open_table(records).unwrap();
    let row = table.get(crate::support::bills::key(code).as_str());
    row.unwrap().unwrap().value().to_vec()
}

/// The file is written by copying pages, so the former ones must be overwritten. A store of schema 3
/// holds plain text.
#[tokio::test]
async fn file_holds_nothing_of_an_erased_transaction() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    stop(&world, &mut gateway).await;
    set_schema(&world.store_file(), "3");
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (plain, compact) = (reference(), reference());
    let bought = buy(&mut client, &plain, RECIPIENT).await;
    for _ in 0..20 {
        buy(&mut client, &reference(), PLAIN).await;
    }
    stop(&world, &mut gateway).await;
    done(&world, &["store", "upgrade", "--yes"]).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    buy(&mut client, &compact, "081199887766").await;
    for _ in 0..20 {
        buy(&mut client, &reference(), PLAIN).await;
    }
    stop(&world, &mut gateway).await;
    let row = row_of(&world.store_file(), &compact);
    let is_held = |bytes: &[u8]| {
        let file = std::fs::read(world.store_file()).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    };
    let secrets = [RECIPIENT.as_bytes(), bought.serial_number.as_bytes(), &row];
    for secret in secrets {
        assert!(is_held(secret), "the file is what was searched");
    }
    for code in [&plain, &compact] {
        done(&world, &["store", "erase", code, "--yes"]).await;
    }
    for secret in secrets {
        assert!(!is_held(secret), "{}", String::from_utf8_lossy(secret));
    }
    let gateway = world.start_gateway().await;
    let kept = get(&mut gateway.client().await, &plain).await.unwrap();
    assert_eq!(kept.state(), TransactionState::Succeeded);
}

/// A reader meets an erasure between its two reads, so an event is in the stream and erased.
#[tokio::test]
async fn events_are_read_once_while_they_are_erased() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await;
    let start = store.events_head().await.unwrap();
    let first = begin(1);
    let said = Statement::bare(Source::Check, Finding::Failed(FailureReason::Cancelled));
    let last = first
        .transaction
        .observe([said], at(1), &schedule())
        .unwrap();
    let erased = last.transaction.erase([7; 16], at(2), &schedule());
    let erased = erased.unwrap().unwrap();
    for change in [&first, &last, &erased] {
        stored(&store, change).await;
    }
    let mut connection = redis.connection().await;
    let stream = connection.keys("okb:*:events").await.unwrap().remove(0);
    let before = connection.xrange_all(&stream).await.unwrap();
    assert_eq!(store.erase_events(&erased.transaction).await.unwrap(), 2);
    // The second event is back in the stream, as a reader has seen it before its erasure.
    let beside = stream.replace(":events", ":erased");
    let second = &before.ids[1];
    let last_event = &before.ids[2];
    connection.del(&stream).await.unwrap();
    for event in [second, last_event] {
        let mut add = redis::cmd("XADD");
        add.arg(&stream).arg(&event.id);
        for (field, value) in &event.map {
            let value: Vec<u8> = redis::from_redis_value(value.clone()).unwrap();
            add.arg(field).arg(value);
        }
        let _: String = add.query_async(&mut connection).await.unwrap();
    }
    assert_eq!(connection.hlen(&beside).await.unwrap(), 2);
    let Events::Next(events) = store.events_after(&start).await.unwrap() else {
        panic!("no event is missing");
    };
    let revisions: Vec<u64> = events
        .iter()
        .map(|event| event.transaction.revision())
        .collect();
    assert_eq!(revisions, [1, 2, 3]);
    for event in &events {
        assert!(
            event.transaction.erasure().is_some(),
            "the erased form is taken"
        );
    }
}

/// A watcher that has received what is erased then goes on.
#[tokio::test]
async fn watch_continues_over_erasure() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    let settled = gateway.until_final(&code).await;
    done(&world, &["store", "erase", &code, "--yes"]).await;
    let later = watch(&mut client, &code, settled.revision).await.unwrap();
    let erased = later.last().unwrap();
    assert_eq!(erased.account_number, "erased");
    assert!(erased.revision > settled.revision);
    let all = watch(&mut client, &code, 1).await.unwrap();
    let revisions: Vec<i64> = all.iter().map(|seen| seen.revision).collect();
    assert_eq!(revisions, (2..=erased.revision).collect::<Vec<_>>());
    assert!(all.iter().all(|seen| seen.account_number == "erased"));
}

on_both_stores!(
    erased_transaction_keeps_its_outcome_and_is_never_sent_again,
    bill_is_erased_and_stays_paid,
    transaction_that_is_not_final_is_not_erased,
);
