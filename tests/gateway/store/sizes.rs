//! The bytes that settled purchases take in each kind of store.

use std::sync::Arc;

use jiff::SignedDuration;
use okebayar_gateway::store::{
    EncryptionKey, EncryptionKeys,
    redb::RedbStore,
    redis::{RedisSettings, RedisStore},
};

use super::contract::identity;
use crate::support::{accounts::redis_settings, core::at, redis::Redis, settled::fill};

/// The number of purchases whose bytes are measured.
const PURCHASES: usize = 10_000;
/// The goals, in bytes a purchase.
const REDIS_BYTES_MAX: u64 = 1200;
const ENCRYPTED_BYTES_MAX: u64 = 1350;
const EMBEDDED_BYTES_MAX: u64 = 2000;

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
    fill(&store, 1, 1, at(0)).await;
    let before = redis.info("memory", "used_memory").await;
    let cpu_before = cpu_micros(&redis).await;
    fill(&store, 2, PURCHASES, at(0)).await;
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
    fill(&store, 2, PURCHASES, at(0)).await;
    let bytes = (length() - before) / PURCHASES as u64;
    println!("embedded: {bytes} bytes a purchase");
    assert!(bytes <= EMBEDDED_BYTES_MAX, "{bytes}");
}
