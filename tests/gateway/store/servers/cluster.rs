//! A cluster whose slots move and whose masters fail.

use redis::{RedisResult, Value};

use crate::support::{poll::until, redis_cluster::RedisCluster};

/// A key of every third of the slots, with its slot.
async fn keys(cluster: &RedisCluster) -> Vec<(String, u16)> {
    let mut keys: Vec<(String, u16)> = Vec::new();
    for number in 0.. {
        let key = format!("okb:{{{number}}}:seal");
        let slot = cluster.slot_of(&key).await;
        if keys.iter().all(|(_, other)| other / 5462 != slot / 5462) {
            keys.push((key, slot));
        }
        if keys.len() == 3 {
            break;
        }
    }
    keys
}

#[tokio::test]
async fn half_moved_slot_redirects_by_ask_and_a_moved_one_by_moved() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 0).await;
    let slot = cluster.slot_of("{a}").await;
    let from = cluster.owner(slot).await;
    for number in 0..10 {
        let key = format!("{{a}}{number}");
        let _: Value = cluster.ask_owner(slot, &["SET", &key, "1"]).await;
    }
    let to = cluster.add_master().await;
    let moving = cluster.begin_move(slot, to).await;
    assert_eq!(moving.step(4).await, 6);
    let mut answers = Vec::new();
    for number in 0..10 {
        let key = format!("{{a}}{number}");
        let got: RedisResult<String> = cluster.nodes[from].redis.ask(&["GET", &key]).await;
        answers.push(got.map_err(|error| error.code().unwrap().to_owned()));
    }
    let asked = answers
        .iter()
        .filter(|answer| **answer == Err("ASK".to_owned()));
    assert_eq!(asked.count(), 4, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 6);
    assert_eq!(moving.step(100).await, 0);
    moving.finish().await;
    assert_eq!(cluster.owner(slot).await, to);
    let got: RedisResult<String> = cluster.nodes[from].redis.ask(&["GET", "{a}0"]).await;
    assert_eq!(got.unwrap_err().code(), Some("MOVED"));
}

#[tokio::test]
async fn replica_replaces_a_killed_master() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 1).await;
    let keys = keys(&cluster).await;
    for (key, slot) in &keys {
        let owner = cluster.owner(*slot).await;
        let mut connection = cluster.nodes[owner].redis.connection().await;
        let mut write = redis::pipe();
        write.set(key, 1).ignore().cmd("WAIT").arg(1).arg(10_000);
        let (replicas,): (u64,) = write.query_async(&mut connection).await.unwrap();
        assert_eq!(replicas, 1);
    }
    let killed = cluster.owner(keys[0].1).await;
    cluster.kill(killed).await;
    cluster.await_well().await;
    for (key, slot) in &keys {
        assert_ne!(cluster.owner(*slot).await, killed);
        let got: String = cluster.ask_owner(*slot, &["GET", key]).await;
        assert_eq!(got, "1");
    }
    cluster.start_again(killed).await;
    cluster.await_well().await;
}

#[tokio::test]
async fn shard_without_a_replica_is_down_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = RedisCluster::start(folder.path(), 3, 0).await;
    let keys = keys(&cluster).await;
    let frozen = cluster.owner(keys[0].1).await;
    cluster.freeze(frozen);
    let other = &cluster.nodes[cluster.owner(keys[1].1).await].redis;
    until("a shard that is known to be down", async || {
        let text: String = other.ask(&["CLUSTER", "INFO"]).await.unwrap();
        !text.contains("cluster_slots_fail:0")
    })
    .await;
    for (key, slot) in &keys[1..] {
        let _: Value = cluster.ask_owner(*slot, &["SET", key, "1"]).await;
    }
    cluster.thaw(frozen);
    cluster.await_well().await;
}
