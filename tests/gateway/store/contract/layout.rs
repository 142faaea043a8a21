//! Durability over a restart, and the key layout of Redis.

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::store::{History, Store};

use super::{done, due, open_redb, open_redis, pending};
use crate::support::{core::begin, redis::Redis};

#[tokio::test]
async fn embedded_store_keeps_everything_over_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second);
    {
        let store = open_redb(folder.path()).await;
        first = begin(1);
        second = pending(&first.transaction, 1);
        done(&store, &first).await;
        done(&store, &second).await;
    }
    let store = open_redb(folder.path()).await;
    let key = first.transaction.key();
    assert_eq!(store.load(&key).await.unwrap().unwrap(), second.transaction);
    assert_eq!(
        due(&store, Timestamp::MAX).await,
        std::slice::from_ref(&key)
    );
    assert!(
        matches!(store.history(&key, 0).await.unwrap(), History::Complete(all) if all.len() == 2)
    );
}

#[tokio::test]
async fn keys_of_one_commit_share_one_slot() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let first = begin(1);
    done(&store, &first).await;
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("okb:{*")
        .query_async(&mut connection)
        .await
        .unwrap();
    let tag = |key: &String| key.split_once('}').map(|(tag, _)| tag.to_owned());
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(keys.iter().all(|key| tag(key) == tag(&keys[0])), "{keys:?}");
    // The partition is fixed by design: SHA-256(reference) mod 8.
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"reference1");
    let partition = u64::from_be_bytes(digest[..8].try_into().unwrap()) % 8;
    assert_eq!(tag(&keys[0]).unwrap(), format!("okb:{{{partition}"));
}
