//! Opened stores of either kind, and what the tests of the contract share.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    store::{
        Commit, Cursor, DueCheck, Event, Events, Identity, Lease, Store,
        redb::RedbStore,
        redis::{RedisSettings, RedisStore, RedisTopology},
    },
    transaction::{
        AccountName, AccountNames, Change, Finding, LeaseToken, Source, Statement, Transaction,
        TransactionKey,
    },
};

use crate::support::{
    accounts::redis_settings_at,
    core::{at, schedule},
    redis::Redis,
    redis_cluster::RedisCluster,
    world::StoreKind,
};

/// A store, and what must live as long as it.
pub struct Opened {
    pub store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
    _redis: Option<Redis>,
    _cluster: Option<RedisCluster>,
}

tokio::task_local! {
    /// Set where a store of the kind Redis is to be a cluster.
    static CLUSTERED: ();
}

/// Runs a test whose store of the kind Redis is a cluster.
pub async fn on_a_cluster(test: impl Future<Output = ()>) {
    CLUSTERED.scope((), test).await;
}

pub fn identity() -> Identity {
    Identity {
        accounts: BTreeMap::from([(account(), "hash".to_owned())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    }
}

pub fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

pub async fn open_redis(url: &str, event_retention: SignedDuration) -> RedisStore {
    open_servers(url, RedisTopology::Standalone, event_retention).await
}

async fn open_servers(
    url: &str,
    topology: RedisTopology,
    event_retention: SignedDuration,
) -> RedisStore {
    let settings = redis_settings(url, topology, event_retention);
    RedisStore::open(settings, &identity()).await.unwrap()
}

pub fn redis_settings(
    url: &str,
    topology: RedisTopology,
    event_retention: SignedDuration,
) -> RedisSettings {
    RedisSettings {
        topology,
        event_retention,
        ..redis_settings_at(url)
    }
}

pub async fn open_redb(folder: &Path) -> RedbStore {
    RedbStore::open(&folder.join("store.redb"), &identity())
        .await
        .unwrap()
}

pub async fn open(kind: StoreKind) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    match kind {
        StoreKind::Embedded => {
            let store = Arc::new(open_redb(folder.path()).await);
            Opened {
                store,
                _folder: folder,
                _redis: None,
                _cluster: None,
            }
        }
        StoreKind::Redis if CLUSTERED.try_with(|()| ()).is_ok() => {
            let cluster = RedisCluster::start(folder.path(), 3, 0).await;
            let retention = SignedDuration::from_hours(1_000_000);
            let store = open_servers(&cluster.urls(), RedisTopology::Cluster, retention).await;
            Opened {
                store: Arc::new(store),
                _folder: folder,
                _redis: None,
                _cluster: Some(cluster),
            }
        }
        StoreKind::Redis => {
            let redis = Redis::start(folder.path()).await;
            let store =
                Arc::new(open_redis(&redis.url, SignedDuration::from_hours(1_000_000)).await);
            Opened {
                store,
                _folder: folder,
                _redis: Some(redis),
                _cluster: None,
            }
        }
    }
}

pub fn pending(from: &Transaction, seconds: i64) -> Change {
    let said = Statement::bare(Source::Answer, Finding::Pending);
    from.observe([said], at(seconds), &schedule()).unwrap()
}

pub async fn done(store: &dyn Store, change: &Change) {
    assert!(matches!(
        store.commit(change, None).await.unwrap(),
        Commit::Done
    ));
}

/// Returns what is due for the account of these tests.
pub async fn due(store: &dyn Store, now: Timestamp) -> Vec<TransactionKey> {
    let due = store.due(now, &[account()], 100).await.unwrap();
    due.checks.into_iter().map(|check| check.key).collect()
}

pub fn check_of(transaction: &Transaction) -> DueCheck {
    DueCheck {
        key: transaction.key(),
        account: transaction.account().clone(),
        is_asked: false,
    }
}

pub fn lease(number: u128, lasts: Duration) -> Lease {
    Lease {
        token: LeaseToken::new(uuid::Uuid::from_u128(number)),
        lasts,
    }
}

/// Past every time of these tests, some of which Redis measures by its own clock.
pub const LONG: Duration = Duration::from_hours(100_000);

pub async fn next(store: &dyn Store, cursor: &Cursor) -> Vec<Event> {
    match store.events_after(cursor).await.unwrap() {
        Events::Next(events) => events,
        Events::OutOfRange => panic!("everything is kept"),
    }
}
