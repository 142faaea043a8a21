//! The contract of failures: determinate where nothing was written, else indeterminate.

use std::time::Duration;

use jiff::SignedDuration;
use okebayar_gateway::{
    store::{
        Store, StoreError, claim,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{AttemptToken, Change, Transaction},
};

use super::{done, identity, open_redis};
use crate::support::{
    core::{RULES, arming, begin, schedule, wish},
    ports,
    process::PATIENCE,
    redis::Redis,
};

/// Returns an attempt under the reference code of `begin(1)`, of another caller.
fn other_attempt() -> Change {
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(77));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule())
}

fn settings(url: String, timeout: Duration) -> RedisSettings {
    RedisSettings {
        url,
        partitions: 8,
        timeout,
        event_retention: SignedDuration::from_hours(1),
    }
}

#[tokio::test]
async fn commit_is_determinate_when_the_connection_is_refused() {
    let url = format!("redis://127.0.0.1:{}", ports::free());
    let store = RedisStore::connect(settings(url, Duration::from_secs(30))).unwrap();
    let error = store.commit(&begin(1), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let error = claim(&store, begin(1), "run:replication x").await;
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// A commit that the server refuses is not stored, so there is nothing to read back.
#[tokio::test]
async fn claim_is_not_read_back_when_the_server_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let epoch = store.epoch(None).await.unwrap();
    done(&store, &other_attempt()).await;
    redis
        .command(&["CONFIG", "SET", "min-replicas-to-write", "1"])
        .await;
    let (intent, order) = wish("reference-1", "PULSA10");
    let token = AttemptToken::new(uuid::Uuid::from_u128(78));
    let change = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let error = claim(&store, change, &epoch).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("NOREPLICAS"), "{error}");
}

/// The server holds the commit back, and executes it after its caller's time is up.
#[tokio::test]
async fn claim_is_indeterminate_when_its_commit_times_out_after_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let patient = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let epoch = patient.epoch(None).await.unwrap();
    let settings = settings(redis.url.clone(), Duration::from_millis(500));
    let store = RedisStore::open(settings, &identity()).await.unwrap();
    let change = other_attempt();
    let key = change.transaction.key();
    redis.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let error = store.commit(&change, None).await.unwrap_err();
    assert!(error.is_indeterminate(), "{error:?}");
    let error = claim(&store, change.clone(), &epoch).await.unwrap_err();
    assert!(error.is_indeterminate(), "{error:?}");
    assert!(
        error.to_string().contains("the claim was not stored"),
        "it is read back: {error}"
    );
    redis.command(&["CLIENT", "UNPAUSE"]).await;
    let arrives = async {
        while patient.load(&key).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrives)
        .await
        .expect("the commit was never executed");
}
