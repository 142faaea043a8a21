//! The contract of failures: determinate where nothing was written, else indeterminate.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::store::{
    Expiry, Store, StoreError, claim,
    epoch::Seal,
    redis::{RedisSettings, RedisStore},
};

use super::{identity, open_redis};
use crate::support::{
    accounts::redis_settings_at,
    core::{at, begin},
    ports,
    process::PATIENCE,
    redis::Redis,
};

fn settings(url: &str, timeout: Duration) -> RedisSettings {
    RedisSettings {
        timeout,
        ..redis_settings_at(url)
    }
}

#[tokio::test]
async fn commit_is_determinate_when_the_connection_is_refused() {
    let url = format!("redis://127.0.0.1:{}", ports::free());
    let store = RedisStore::connect(settings(&url, Duration::from_secs(30))).unwrap();
    let error = store.commit(&begin(1), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let error = claim(&store, begin(1), "run:replication x").await;
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// A commit that the server refuses is not stored.
#[tokio::test]
async fn claim_is_determinate_when_the_server_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let epoch = store.epoch(None).await.unwrap().name;
    let refuse = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    redis.command(&refuse).await;
    let error = claim(&store, begin(1), &epoch).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("NOREPLICAS"), "{error}");
    assert!(
        store
            .load(&begin(1).transaction.key())
            .await
            .unwrap()
            .is_none()
    );
}

/// The server delays the commit, and may execute it after its caller's time is up.
#[tokio::test]
async fn claim_is_indeterminate_when_its_commit_times_out_after_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let settings = settings(&redis.url, Duration::from_secs(3));
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    let epoch = store.epoch(None).await.unwrap().name;
    redis.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let error = store.commit(&begin(1), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Indeterminate(_)), "{error:?}");
    let error = claim(&store, begin(1), &epoch).await.unwrap_err();
    assert!(matches!(error, StoreError::Indeterminate(_)), "{error:?}");
    assert!(
        error.to_string().contains("the claim was not stored"),
        "it is read back: {error}"
    );
}

/// The commit breaks off on the server that goes away, and the read-back does not reach it.
#[tokio::test]
async fn claim_is_indeterminate_when_its_read_back_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let epoch = store.epoch(None).await.unwrap().name;
    redis.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let claiming = tokio::spawn(async move { claim(&store, begin(1), &epoch).await });
    let is_sent = async {
        while redis.info("clients", "blocked_clients").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_sent)
        .await
        .expect("the commit never arrives");
    redis.kill().await;
    let error = claiming.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Indeterminate(_)), "{error:?}");
}

/// Another partition, or the identity, may have been written before the write that is refused.
#[tokio::test]
async fn call_of_several_writes_is_indeterminate_when_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let refuse = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    redis.command(&refuse).await;
    let expiry = Expiry {
        now: at(0),
        until: Timestamp::MAX,
    };
    let sealed = store.seal(&vec![Seal::Missing; 8], "id", expiry).await;
    assert!(sealed.unwrap_err().is_indeterminate());
    assert!(store.verify().await.unwrap_err().is_indeterminate());
    let noted = store.put_note("n", None, "text", expiry).await;
    assert!(!noted.unwrap_err().is_indeterminate(), "one write");
}
