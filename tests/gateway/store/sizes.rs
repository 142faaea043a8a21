//! The bytes that settled purchases take in each kind of store.

use std::sync::Arc;

use futures::StreamExt;
use jiff::SignedDuration;
use okebayar_gateway::{
    store::{
        Commit, EncryptionKey, EncryptionKeys, Store,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{
        AccountNumber, Amount, Arming, AttemptToken, Change, Contents, Details, Finding,
        ReferenceCode, SerialNumber, Source, Statement, StatusCode, TraceCode, Transaction,
    },
};
use uuid::Uuid;

use super::contract::identity;
use crate::support::{
    accounts::redis_settings,
    core::{RULES, arming, at, schedule, wish},
    dice::Dice,
    redis::Redis,
};

/// The number of purchases whose bytes are measured.
const PURCHASES: usize = 10_000;
/// The goals, in bytes a purchase.
const REDIS_BYTES_MAX: u64 = 1200;
const ENCRYPTED_BYTES_MAX: u64 = 1350;
const EMBEDDED_BYTES_MAX: u64 = 2000;
/// The purchases that are written concurrently.
const AT_ONCE: usize = 64;

/// A settled purchase as OKEBAYAR answers it: the claim, then the success with everything that an
/// answer holds (docs/OKEBAYAR.md, section 3.1).
fn purchase(dice: &mut Dice, number: usize) -> (Change, Change, TraceCode) {
    let mut random = || u128::from(roll(dice)) << 64 | u128::from(roll(dice));
    let (code, token) = (Uuid::from_u128(random()), Uuid::from_u128(random()));
    let recipient = format!("08{}", 1_000_000_000 + dice.roll(9_000_000_000));
    let (mut intent, mut order) = wish("reference-0", "PULSA10");
    intent.reference_code = ReferenceCode::parse(code.to_string()).unwrap();
    order.account_number = AccountNumber::parse(recipient).unwrap();
    intent.contents = Contents::PurchasePrepaid {
        product_code: order.product_code.clone(),
        account_number: order.account_number.clone(),
        inquiry_code: None,
    };
    // Ten purchases a second, with times as exact as a clock gives them.
    let mut within =
        |nanos: usize| SignedDuration::from_nanos(i64::try_from(dice.roll(nanos)).unwrap());
    let tenths = i64::try_from(number).unwrap() * 100;
    let claimed_at = at(0) + SignedDuration::from_millis(tenths) + within(100_000_000);
    let answered_at = claimed_at + SignedDuration::from_millis(500) + within(2_000_000_000);
    let armed = Arming {
        at: claimed_at,
        ..arming(AttemptToken::new(token), 0)
    };
    let claim = Transaction::begin(intent, order, armed, RULES, &schedule());
    let trace_code = TraceCode::parse(format!("70010000{:08}", number * 3 + 1)).unwrap();
    let details = Details {
        trace_code: Some(trace_code.clone()),
        serial_number: SerialNumber::read(&format!("{:020}", roll(dice))),
        price: Some(Amount::parse("10500").unwrap()),
        balance: Some(Amount::parse(&format!("{}", 900_000_000 - number * 10_500)).unwrap()),
        time: Some(answered_at),
        ..Details::default()
    };
    let said = Statement::new(
        Source::Answer,
        Finding::Succeeded,
        StatusCode::read("000"),
        details,
    );
    let settled = claim
        .transaction
        .observe([said], answered_at, &schedule())
        .unwrap();
    (claim, settled, trace_code)
}

fn roll(dice: &mut Dice) -> u64 {
    dice.roll(usize::MAX) as u64
}

/// Writes the purchases as the gateway does.
async fn fill(store: &dyn Store, seed: u64, purchases: usize) {
    let mut dice = Dice(seed);
    let all = (0..purchases).map(|number| purchase(&mut dice, number));
    let all: Vec<_> = all.collect();
    futures::stream::iter(all)
        .for_each_concurrent(AT_ONCE, async |(claim, settled, trace_code)| {
            for change in [&claim, &settled] {
                let done = store.commit(change, None).await.unwrap();
                assert!(matches!(done, Commit::Done));
            }
            let (of, key) = (&settled.transaction, settled.transaction.key());
            let indexed = store.index_trace(&key, of.account(), &trace_code);
            indexed.await.unwrap();
        })
        .await;
}

fn keys() -> Arc<EncryptionKeys> {
    let key = EncryptionKey::parse("2026-11", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    Arc::new(EncryptionKeys::new(vec![key.unwrap()]))
}

/// Returns the bytes of Redis that a purchase takes, and prints what takes them.
async fn redis_bytes(keys: Arc<EncryptionKeys>) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let settings = RedisSettings {
        partitions: 64,
        event_retention: SignedDuration::from_hours(1_000_000),
        keys,
        ..redis_settings(&redis)
    };
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    // Scripts and connections are not what a purchase takes.
    fill(&store, 1, 1).await;
    let before = redis.info("memory", "used_memory").await;
    let cpu_before = cpu_micros(&redis).await;
    fill(&store, 2, PURCHASES).await;
    let after = redis.info("memory", "used_memory").await;
    let cpu = (cpu_micros(&redis).await - cpu_before) / 10_000.0;
    println!("redis: {cpu:.1} us of CPU a purchase, without epoch, seal and notes");
    for kind in ["tx", "listing", "events", "traces"] {
        let bytes = bytes_of(&redis, kind).await / PURCHASES as u64;
        println!("redis: {kind} {bytes} bytes a purchase");
    }
    (after - before) / PURCHASES as u64
}

/// Returns the time that the main thread of the server has computed.
async fn cpu_micros(redis: &Redis) -> f64 {
    let mut connection = redis.connection().await;
    let mut ask = redis::cmd("INFO");
    let output: String = ask.arg("cpu").query_async(&mut connection).await.unwrap();
    let seconds = |name: &str| {
        let value = output.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse::<f64>().unwrap()
    };
    1e6 * (seconds("used_cpu_user_main_thread:") + seconds("used_cpu_sys_main_thread:"))
}

/// Returns the bytes of the keys of one kind.
async fn bytes_of(redis: &Redis, kind: &str) -> u64 {
    let mut connection = redis.connection().await;
    let script = redis::Script::new(
        "local sum = 0
        for _, key in ipairs(redis.call('KEYS', 'okb:{*}:' .. ARGV[1] .. '*')) do
          sum = sum + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
        end
        return sum",
    );
    let call = script.arg(kind).invoke_async(&mut connection).await;
    call.unwrap()
}

#[tokio::test]
async fn settled_purchase_is_small_in_redis() {
    let plain = redis_bytes(Arc::default()).await;
    let encrypted = redis_bytes(keys()).await;
    println!("redis: {plain} bytes a purchase, encrypted {encrypted}");
    assert!(plain <= REDIS_BYTES_MAX, "{plain}");
    assert!(encrypted <= ENCRYPTED_BYTES_MAX, "{encrypted}");
}

#[tokio::test]
async fn settled_purchase_is_small_in_embedded_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let store = RedbStore::open(&file, &identity()).await.unwrap();
    let length = || std::fs::metadata(&file).unwrap().len();
    let before = length();
    fill(&store, 2, PURCHASES).await;
    let bytes = (length() - before) / PURCHASES as u64;
    println!("embedded: {bytes} bytes a purchase");
    assert!(bytes <= EMBEDDED_BYTES_MAX, "{bytes}");
}
