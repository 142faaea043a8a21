//! Trains a dictionary of compact records, and writes it into the sources: `make dictionary`.
//!
//! Not part of the ordinary tests: a dictionary that a release has written records with is never
//! changed, or these records cannot be read any more. This adds the next one
//! (`src/store/record/dictionary.rs`).
//!
//! The samples are the events and records of real purchases: the built program buys from its
//! sandbox, in XML and in JSON, whatever the sandbox can do, with customers and reference codes
//! that differ, so that the dictionary learns the form of a record and not its values.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the support is shared"
)]

#[path = "gateway/support/mod.rs"]
mod support;

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::{PurchasePrepaidRequest, WaitUntil},
    store::{
        Cursor, Events, Identity, Position, Store,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{AccountNames, Transaction},
};
use support::{
    calls::prepaid_question,
    dice::Dice,
    world::{Client, Inquirer, StoreKind, World, order, pay, question, reference},
};
use tonic::metadata::MetadataValue;

/// The largest dictionary, in bytes.
const BYTES_MAX: usize = 16 * 1024;
const SEED: u64 = 15;
/// The number of ordinary purchases of each format, beside one of each scenario.
const PURCHASES: usize = 1500;
/// The scenarios of the sandbox that end within a test, by the end of their account number.
const SCENARIOS: std::ops::RangeInclusive<usize> = 1..=28;
/// One in so many samples is not trained with, and measures the dictionary.
const HELD_OUT: usize = 5;
const AT_ONCE: usize = 200;
const SETTLED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test]
async fn dictionary_is_trained() {
    let mut samples = Vec::new();
    let mut dice = Dice(SEED);
    for format in ["xml", "json"] {
        let records = records_of(format, &mut dice).await;
        samples.extend(
            records
                .iter()
                .map(|record| at_another_time(record, &mut dice)),
        );
    }
    if let Ok(file) = std::env::var("OKEBAYAR_SAMPLES") {
        std::fs::write(file, samples.join("\n")).unwrap();
    }
    let (mut trained, mut held_out) = (Vec::new(), Vec::new());
    for (number, sample) in samples.into_iter().enumerate() {
        if number % HELD_OUT == 0 {
            held_out.push(sample);
        } else {
            trained.push(sample);
        }
    }
    let dictionary = zstd::dict::from_samples(&trained, BYTES_MAX).unwrap();
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, &dictionary).unwrap();
    let compressed = held_out.iter().map(|sample| {
        let compressed = compressor.compress(sample.as_bytes()).unwrap();
        compressed.len()
    });
    let (before, after) = (
        held_out.iter().map(String::len).sum::<usize>() / held_out.len(),
        compressed.sum::<usize>() / held_out.len(),
    );
    let file = next_file();
    std::fs::write(&file, &dictionary).unwrap();
    println!(
        "{}: {} bytes from {} samples; a record of {before} bytes becomes {after}",
        file.display(),
        dictionary.len(),
        trained.len()
    );
}

/// The level that records are compressed with.
const LEVEL: i32 = 15;

/// Returns the file of the next dictionary, which does not exist yet.
fn next_file() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/record/dictionaries");
    let mut files = (1..=255).map(|number: u8| folder.join(format!("{number}.dictionary")));
    files.find(|file| !file.exists()).expect("255 dictionaries")
}

/// Buys in one format, and returns the transaction after each change, as records.
async fn records_of(format: &str, dice: &mut Dice) -> Vec<String> {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("accounts.main.format", format)
        .set("limits.sending", "64")
        .set("limits.queue", "4000")
        // The rules of a transaction are part of its record.
        .unset("checks.doubtful_gap")
        .unset("checks.not_received_after")
        .unset("store.clock_skew");
    let gateway = world.start_gateway().await;
    let (client, inquirer) = (gateway.client().await, gateway.inquirer().await);
    let mut buying = tokio::task::JoinSet::new();
    let scenarios = SCENARIOS.map(|ending| format!("080000000{ending:03}"));
    let failures =
        [200, 201, 202, 204, 205, 210, 215, 232, 500].map(|code| format!("080000009{code}"));
    let special: Vec<String> = scenarios.chain(failures).collect();
    for number in 0..PURCHASES {
        let ordinary = format!("08{}", 1_000_000_000 + dice.roll(9_000_000_000));
        let account_number = match dice.roll(4) {
            0 => dice.pick(&special).clone(),
            _ => ordinary,
        };
        let request = purchase(dice, &account_number);
        let (mut client, mut inquirer) = (client.clone(), inquirer.clone());
        let bill = (number % 8 == 0).then(|| dice.roll(4));
        buying.spawn(async move {
            let buying = async {
                match bill {
                    Some(kind) => pay_bill(&mut client, &mut inquirer, kind, &account_number).await,
                    None => drop(client.purchase_prepaid(request).await),
                }
            };
            // Some scenarios settle much later.
            drop(tokio::time::timeout(SETTLED_WITHIN, buying).await);
        });
        while buying.len() >= AT_ONCE {
            buying.join_next().await.unwrap().unwrap();
        }
    }
    while buying.join_next().await.is_some() {}
    records_in(&world).await
}

/// Returns a record with all of its times moved by one random span, so that the dictionary does not
/// learn the day on which it was trained.
fn at_another_time(record: &str, dice: &mut Dice) -> String {
    let span = SignedDuration::from_secs(i64::try_from(dice.roll(3 * 365 * 24 * 3600)).unwrap());
    let moved = record.split('"').map(|text| {
        let time = text
            .parse::<Timestamp>()
            .ok()
            .filter(|_| text.ends_with('Z'));
        time.map_or_else(|| text.to_owned(), |time| (time + span).to_string())
    });
    moved.collect::<Vec<_>>().join("\"")
}

/// Builds the purchase of a random product, with what callers send along.
fn purchase(dice: &mut Dice, account_number: &str) -> tonic::Request<PurchasePrepaidRequest> {
    let products = ["PULSA5", "PULSA10", "PULSA100", "DATA1GB", "HPLNPRA20"];
    let mut wish = order(&reference(), account_number);
    wish.product_code = (*dice.pick(&products)).to_owned();
    wish.set_wait_until(WaitUntil::Terminal);
    if dice.roll(4) == 0 {
        wish.labels = BTreeMap::from([
            ("order".to_owned(), format!("{}", dice.roll(1_000_000))),
            ("shop".to_owned(), format!("shop-{}", dice.roll(100))),
        ])
        .into_iter()
        .collect();
    }
    let mut request = tonic::Request::new(wish);
    if dice.roll(2) == 0 {
        let traced = format!(
            "00-{}-{:016x}-01",
            reference().replace('-', ""),
            dice.roll(usize::MAX)
        );
        let traced = MetadataValue::try_from(traced).unwrap();
        request.metadata_mut().insert("traceparent", traced);
    }
    request
}

/// Inquires about a bill, or before a purchase, and pays it.
async fn pay_bill(client: &mut Client, inquirer: &mut Inquirer, kind: usize, account_number: &str) {
    let code = reference();
    let asked = match kind {
        0 => {
            let question = prepaid_question(&code, "HPLNPRA20", account_number);
            let Ok(answer) = inquirer.inquire_prepaid(question).await else {
                return;
            };
            let inquiry = answer.into_inner().inquiry.unwrap();
            let wish = PurchasePrepaidRequest {
                inquiry_code: inquiry.inquiry_code,
                ..order(&code, account_number)
            };
            let wish = PurchasePrepaidRequest {
                product_code: "HPLNPRA20".to_owned(),
                ..wish
            };
            drop(client.purchase_prepaid(wish).await);
            return;
        }
        1 => question("HPLNPASCA", account_number),
        2 => question("HBPJSKES", account_number),
        _ => question("HPDAM", account_number),
    };
    if let Ok(answer) = inquirer.inquire_postpaid(asked).await {
        let inquiry = answer.into_inner().inquiry.unwrap();
        drop(pay(client, &code, &inquiry).await);
    }
}

/// Returns every event and every traced record of a world's store.
async fn records_in(world: &World) -> Vec<String> {
    let identity = Identity {
        accounts: BTreeMap::default(),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    };
    let settings = RedisSettings {
        url: world.setting("store.url"),
        topology: okebayar_gateway::store::redis::RedisTopology::default(),
        access: okebayar_gateway::store::redis::RedisAccess::default(),
        acknowledging: okebayar_gateway::store::redis::AcknowledgingReplicas::default(),
        partitions: 64,
        timeout: Duration::from_secs(30),
        event_retention: SignedDuration::from_hours(1),
        keys: std::sync::Arc::default(),
    };
    let store = RedisStore::open(settings, &identity).await.unwrap();
    let mut cursor = Cursor {
        positions: vec![Position::default(); 64],
        ..store.events_head().await.unwrap()
    };
    let mut records = Vec::new();
    loop {
        let Events::Next(events) = store.events_after(&cursor).await.unwrap() else {
            panic!("the events of a minute are kept");
        };
        if events.is_empty() {
            return records;
        }
        for event in events {
            cursor.advance(&event);
            records.push(record_of(&event.transaction));
            let record = store.load(&event.transaction.key()).await.unwrap();
            let record = record.unwrap();
            // Not twice the same: an event lacks the trace of the call.
            if record.trace().is_some() && record.revision() == event.transaction.revision() {
                records.push(record_of(&record));
            }
        }
    }
}

/// Returns the JSON of a record (`src/store/record/json.rs`).
fn record_of(transaction: &Transaction) -> String {
    let transaction = serde_json::to_string(transaction).unwrap();
    format!("{{\"schema\":3,\"transaction\":{transaction}}}")
}
