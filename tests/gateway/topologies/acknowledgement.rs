//! Promise 1: the number of replicas that `store.acknowledging_replicas = "all"` waits for, when the
//! Sentinels or the cluster do not know it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use okebayar_gateway::{
    store::{
        Claim, Store, StoreError, claim,
        redis::{AcknowledgingReplicas, RedisSettings, RedisStore, RedisTopology, RedisUser},
    },
    transaction::Change,
};

use crate::{
    store::contract::identity,
    support::{
        accounts::redis_settings_at,
        core::begin,
        link::{Direction, Link, Peer},
        poll::until,
        sentinels::{PRIMARY, Sentinels},
    },
};

/// Opens a store under Sentinels whose claims every replica must acknowledge.
async fn open(urls: &str, acknowledging: AcknowledgingReplicas) -> RedisStore {
    let settings = RedisSettings {
        topology: RedisTopology::Sentinel {
            primary: PRIMARY.to_owned(),
            user: RedisUser::default(),
        },
        acknowledging,
        timeout: Duration::from_secs(5),
        ..redis_settings_at(urls)
    };
    RedisStore::open(settings, &identity()).await.unwrap()
}

async fn try_claim(store: &RedisStore, change: Change) -> Result<Claim, StoreError> {
    let epoch = store.epoch(None).await?.name;
    claim(store, change, &epoch).await
}

fn assert_won(claimed: &Result<Claim, StoreError>) {
    assert!(matches!(claimed, Ok(Claim::Won(_))), "{claimed:?}");
}

async fn assert_refused(store: &RedisStore, number: u128, reason: &str) {
    let refused = try_claim(store, begin(number)).await.unwrap_err();
    assert!(refused.to_string().contains(reason), "{refused}");
}

/// A network partition leaves one of the Sentinels to the gateway, and somebody resets it.
#[tokio::test]
async fn reset_of_reachable_sentinels_lets_no_claim_through() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = Sentinels::start(folder.path(), 2).await;
    // Nothing is promoted here, so that the reset Sentinel learns nothing from the others.
    let never = ["down-after-milliseconds", "600000"];
    sentinels.set_option(never[0], never[1]).await;
    let mut links = Vec::new();
    for number in 0..3 {
        links.push(Link::open(sentinels.sentinel_port(number)).await);
    }
    let urls: Vec<String> = links
        .iter()
        .map(|link| format!("redis://127.0.0.1:{}", link.port))
        .collect();
    let store = open(&urls.join(","), AcknowledgingReplicas::All).await;
    assert_won(&try_claim(&store, begin(1)).await);

    for link in &links[1..] {
        link.hold(Peer::Client, Direction::FromServer);
    }
    sentinels.stall_replication(0);
    sentinels.hide_from_sentinels(0);
    sentinels.reset(0).await;
    store.verify().await.unwrap();
    assert_refused(&store, 2, "0 of 2 replicas").await;
    // A gateway that starts there believes no minority either.
    let started = open(&urls.join(","), AcknowledgingReplicas::All).await;
    assert_refused(&started, 3, "no majority of the sentinels").await;

    for link in &links[1..] {
        link.release(Peer::Client);
    }
    store.verify().await.unwrap();
    assert_refused(&store, 4, "0 of 2 replicas").await;
    // All of them are reset: none knows a replica.
    for number in 1..3 {
        sentinels.reset(number).await;
    }
    store.verify().await.unwrap();
    assert_refused(&store, 5, "no replica is known").await;

    sentinels.heal(0);
    sentinels.await_replicas().await;
    store.verify().await.unwrap();
    assert_won(&try_claim(&store, begin(6)).await);
}

/// The Sentinels may promote a replica that they do not list.
#[tokio::test]
async fn replica_that_is_not_announced_must_acknowledge() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentinels = Sentinels::start(folder.path(), 2).await;
    sentinels.hide_replica(1).await;
    sentinels.freeze(1);
    let store = open(&sentinels.urls(), AcknowledgingReplicas::All).await;
    assert_refused(&store, 1, "1 of 2 replicas").await;
    sentinels.thaw(1);
    until("a claim that is acknowledged", async || {
        try_claim(&store, begin(2)).await.is_ok()
    })
    .await;
}

/// Connections to a primary that hung, and was replaced meanwhile, are left.
#[tokio::test]
async fn claims_leave_a_former_primary_that_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut sentinels = Sentinels::start(folder.path(), 2).await;
    let store = open(&sentinels.urls(), AcknowledgingReplicas::AtLeast(1)).await;
    assert_won(&try_claim(&store, begin(1)).await);
    sentinels.hide_from_sentinels(0);
    sentinels.freeze(0);
    // A call that times out leaves its own connection.
    store.load(&begin(1).transaction.key()).await.unwrap_err();
    sentinels.await_failover(0).await;
    until("the promoted replica", async || {
        store.load(&begin(1).transaction.key()).await.is_ok()
    })
    .await;
    // No Sentinel makes it a replica.
    sentinels.thaw(0);
    let number = AtomicU32::new(2);
    until("a claim at the promoted replica", async || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let claimed = try_claim(&store, begin(number.into())).await;
        matches!(claimed, Ok(Claim::Won(_)))
    })
    .await;
}
