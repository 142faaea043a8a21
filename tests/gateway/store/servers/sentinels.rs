//! Servers under Sentinels, and what a failover loses.

use redis::{Cmd, RedisResult, Value, cmd};

use crate::support::{acl, poll::until, sentinels::Sentinels};

/// Writes on one connection; returns the reply, and whether a replica acknowledged it in time.
async fn write_and_wait(sentinels: &Sentinels, key: &str, wait_ms: u64) -> (String, u64) {
    let mut connection = sentinels.redis(0).connection().await;
    redis::pipe()
        .set(key, "1")
        .cmd("WAIT")
        .arg(1)
        .arg(wait_ms)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn has(sentinels: &Sentinels, server: usize, key: &str) -> bool {
    let found: Option<String> = sentinels.redis(server).ask(&["GET", key]).await.unwrap();
    found.is_some()
}

#[tokio::test]
async fn stalled_write_is_lost_by_promotion_and_refused_by_wait() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 1).await;
    let former = 0;
    let required = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    sentinels.redis(former).command(&required).await;
    let ok = "OK".to_owned();
    assert_eq!(
        write_and_wait(&sentinels, "kept", 20_000).await,
        (ok.clone(), 1)
    );

    sentinels.stall_replication(former);
    // The primary counts a replica whose link looks well: `min-replicas-to-write` accepts the write.
    assert_eq!(write_and_wait(&sentinels, "lost", 300).await, (ok, 0));
    let replication = sentinels.redis(1).ask(&["INFO", "replication"]);
    let replication: String = replication.await.unwrap();
    assert!(
        replication.contains("master_link_status:up"),
        "{replication}"
    );

    sentinels.hide_from_sentinels(former);
    let promoted = sentinels.await_failover(former).await;
    assert_ne!(promoted, former);
    assert!(has(&sentinels, promoted, "kept").await);
    assert!(!has(&sentinels, promoted, "lost").await);
    // The former primary still serves those who reach it, and does not know.
    let (role, _, _): (String, u64, Value) = sentinels.redis(former).ask(&["ROLE"]).await.unwrap();
    assert_eq!(role, "master");
    assert!(has(&sentinels, former, "lost").await);

    sentinels.heal(former);
    sentinels.await_replicas().await;
    assert!(!has(&sentinels, former, "lost").await);
}

#[tokio::test]
async fn replica_of_priority_zero_is_never_promoted() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 2).await;
    sentinels.set_priority(1, 0).await;
    assert_eq!(sentinels.fail_over().await, 2);
    sentinels.await_replicas().await;
    // Only the former primary is left to be promoted.
    assert_eq!(sentinels.fail_over().await, 0);
}

#[tokio::test]
async fn killed_and_frozen_primaries_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentinels = Sentinels::start(folder.path(), 2).await;
    sentinels.kill(0).await;
    let second = sentinels.await_failover(0).await;
    sentinels.await_replicas().await;
    sentinels.start_again(0).await;
    sentinels.await_replicas().await;

    sentinels.freeze(second);
    let third = sentinels.await_failover(second).await;
    let set: String = sentinels
        .redis(third)
        .ask(&["SET", "key", "1"])
        .await
        .unwrap();
    assert_eq!(set, "OK");
    sentinels.thaw(second);
    sentinels.await_replicas().await;
    let refused: RedisResult<Value> = sentinels.redis(second).ask(&["SET", "key", "2"]).await;
    assert_eq!(refused.unwrap_err().code(), Some("READONLY"));
}

#[tokio::test]
async fn client_of_a_stalled_server_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 1).await;
    sentinels.stall_replication(0);
    sentinels.hide_from_sentinels(0);
    let url = format!("redis://127.0.0.1:{}", sentinels.servers[0].link.port);
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let set: String = cmd("SET")
        .arg("key")
        .arg(1)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(set, "OK");
    sentinels.heal(0);
    until("the held write at the replica", async || {
        has(&sentinels, 1, "key").await
    })
    .await;
    let _: Value = Cmd::get("key").query_async(&mut connection).await.unwrap();
}

/// The rights that docs/redis-users.acl and docs/redis-sentinel-users.acl give to the replicas and
/// the Sentinels.
#[tokio::test]
async fn documented_rights_suffice_for_a_failover() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentinels = acl::start_sentinels(folder.path(), 2).await;
    let second = sentinels.fail_over().await;
    sentinels.await_replicas().await;
    sentinels.kill(second).await;
    let third = sentinels.await_failover(second).await;
    sentinels.await_replicas().await;
    assert_ne!(third, second);
    assert_eq!(sentinels.denials().await, Vec::<String>::new());
}
