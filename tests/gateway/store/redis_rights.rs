//! The rights of the gateways' user in Redis: those of docs/redis-users.acl suffice, and each is
//! needed.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::TransactionState,
    store::{
        BoundedList, Claim, Commit, Expiry, Listing, ListingEntry, Notification, OldestListing,
        Retirement, Store, StoreError, Tombstone, claim,
        redis::{AcknowledgingReplicas, RedisSettings, RedisStore, RedisTopology},
    },
    transaction::{Change, FailureReason, Finding, Source, Statement, TraceCode, Transaction},
};

use super::contract::{LONG, account, check_of, identity, lease, redis_settings};
use crate::support::{
    acl::{self, denials, documented},
    core::{at, begin, schedule},
    poll::until,
    process::PATIENCE,
    redis::Redis,
    redis_cluster::{ClusterOptions, RedisCluster},
    world::{
        PLAIN, RESET_AND_CALLBACK_LOST, StoreKind, TWO_BILLS, WATER, World, buy, pay, reference,
    },
};

/// Rights that only a cluster needs.
const OF_CLUSTER: [&str; 3] = ["+asking", "+cluster|info", "+cluster|nodes"];

/// The URL of the user of the gateways at a server.
fn url(redis: &Redis) -> String {
    format!("redis://{}127.0.0.1:{}", acl::gateway(), redis.port())
}

fn settings(url: &str, topology: RedisTopology) -> RedisSettings {
    // The times of these tests are far from the clock of the server.
    redis_settings(url, topology, SignedDuration::from_hours(1_000_000))
}

async fn commit(store: &dyn Store, change: &Change) -> Result<(), StoreError> {
    let committed = store.commit(change, None).await?;
    assert!(matches!(committed, Commit::Done), "{committed:?}");
    Ok(())
}

/// Calls every method of the store.
async fn use_store(settings: RedisSettings) -> Result<(), StoreError> {
    let store = RedisStore::open(settings, &identity()).await?;
    if let Some(fault) = store.verify().await?.first() {
        return Err(StoreError::Unavailable(fault.to_string()));
    }
    store.account_names().await?;
    store.listeners().await?;
    use_notes(&store).await?;
    use_transactions(&store).await?;
    listen(Arc::new(store)).await
}

async fn use_notes(store: &dyn Store) -> Result<(), StoreError> {
    let expiry = Expiry {
        now: Timestamp::UNIX_EPOCH,
        until: Timestamp::MAX,
    };
    let seals = store.seals().await?;
    store.seal(&seals, "seal", expiry).await?;
    store.put_note("name", None, "text", expiry).await?;
    store.note("name").await?;
    store.push(BoundedList::Orphans, "item").await?;
    store.items_from(BoundedList::Orphans, 0, 1).await?;
    store.oldest_item(BoundedList::Orphans).await?;
    assert!(store.remove_oldest(BoundedList::Orphans, "item").await?);
    Ok(())
}

async fn use_transactions(store: &dyn Store) -> Result<(), StoreError> {
    let first = begin(1);
    let claimed = claim(store, first.clone(), &store.epoch(None).await?.name).await?;
    assert!(matches!(claimed, Claim::Won(_)), "{claimed:?}");
    let first = first.transaction;
    let (key, check) = (first.key(), check_of(&first));
    let due_at = first.due_at().unwrap();
    store.due(due_at, &[account()], 10).await?;
    store.unindexed(due_at, &[account()], 0).await?;
    let leased = store.lease_check(&check, due_at, lease(1, LONG)).await?;
    assert!(leased.is_some());
    let said = Statement::bare(Source::Answer, Finding::Failed(FailureReason::Cancelled));
    let failed = first.observe([said], at(1), &schedule()).unwrap();
    let failed = failed.releasing(lease(1, LONG).token);
    commit(store, &failed).await?;
    store.load(&key).await?;
    store.history(&key, 0).await?;
    let trace_code = TraceCode::parse("trace").unwrap();
    store.index_trace(&key, &account(), &trace_code).await?;
    store.find_by_trace(&account(), &trace_code).await?;
    let listing = Listing {
        state: "FAILED",
        from: at(0),
        after: ListingEntry {
            created_ms: at(1000).as_millisecond(),
            name: String::new(),
        },
        limit: 10,
    };
    assert_eq!(store.list(&listing).await?.len(), 1);
    store.count("FAILED", 0, i64::MAX).await?;
    let head = store.events_head().await?;
    store.events_in(&head, &[0]).await?;
    store.unindex_trace(&key, &account(), &trace_code).await?;
    let retired = erase(store, &failed.transaction).await?;
    retire(store, &retired).await
}

/// Erases a final transaction and its events, and returns its record.
async fn erase(store: &dyn Store, last: &Transaction) -> Result<Arc<Transaction>, StoreError> {
    let erased = last.erase([7; 16], at(2), &schedule()).unwrap().unwrap();
    commit(store, &erased).await?;
    let erased = erased.transaction;
    assert_eq!(store.erase_events(&erased).await?, 2);
    assert_eq!(store.erase_events(&erased).await?, 0);
    Ok(erased)
}

/// Ends a record, and then its tombstone.
async fn retire(store: &dyn Store, last: &Transaction) -> Result<(), StoreError> {
    let partition = store.partition_of(&last.key());
    let oldest = OldestListing {
        partition,
        state: "FAILED",
        after: None,
        to: Timestamp::MAX,
        limit: 10,
    };
    assert_eq!(store.oldest(&oldest).await?.len(), 1);
    store.clock(partition).await?;
    let retired = store.retire(last, Tombstone::of(last).as_ref()).await?;
    assert_eq!(retired, Retirement::Done);
    assert!(store.trim_events(partition, at(0)).await? == 0);
    let (mut from, mut removed) = (None, 0);
    while removed == 0 {
        let swept = store.sweep_tombstones(i64::MAX, from.as_deref()).await?;
        removed += swept.removed;
        from = Some(swept.next.expect("the tombstone was not found"));
    }
    Ok(())
}

/// Receives one change.
async fn listen(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listener = Arc::clone(&store);
    let listening = tokio::spawn(async move {
        let wake = |news: Notification| drop(tell.send(news));
        listener.listen(&wake).await
    });
    match heard.recv().await {
        Some(news) => assert_eq!(news, Notification::Listening),
        None => return listening.await.unwrap(),
    }
    commit(&*store, &begin(2)).await?;
    let news = heard.recv().await;
    listening.abort();
    assert!(matches!(news, Some(Notification::Change(..))), "{news:?}");
    Ok(())
}

/// Gives the user of the gateways a document's rights, without one of them; empties the servers.
async fn grant(servers: &[&Redis], without: &str) {
    let users = documented("redis-users.acl");
    let user = users.iter().find(|line| line.starts_with("user okebayar "));
    let rights = user.unwrap().split(' ').skip(2);
    let rights = rights.filter(|right| *right != without);
    let set: Vec<&str> = ["ACL", "SETUSER", "okebayar", "reset"]
        .into_iter()
        .chain(rights)
        .collect();
    for redis in servers {
        redis.command(&set).await;
        redis.command(&["ACL", "LOG", "RESET"]).await;
        redis.command(&["FLUSHALL"]).await;
        redis.command(&["SCRIPT", "FLUSH"]).await;
        redis.command(&["CONFIG", "RESETSTAT"]).await;
    }
}

/// Returns the rights of the gateways' user that permit something.
fn permissions() -> Vec<String> {
    let users = documented("redis-users.acl");
    let user = users.iter().find(|line| line.starts_with("user okebayar "));
    let rights = user.unwrap().split(' ');
    let rights = rights.filter(|right| right.starts_with(['+', '~', '&']));
    rights.map(str::to_owned).collect()
}

/// Asserts that the documented rights suffice, and that without each of these something is denied
/// and fails.
async fn assert_needed(
    servers: &[&Redis],
    rights: &[String],
    use_store: impl AsyncFn() -> Result<(), StoreError>,
) {
    let denied = async || {
        let mut denied = Vec::new();
        for redis in servers {
            denied.extend(denials(&redis.url).await);
        }
        denied
    };
    grant(servers, "none").await;
    use_store().await.unwrap();
    assert_eq!(denied().await, Vec::<String>::new());
    let mut superfluous = Vec::new();
    for right in rights {
        grant(servers, right).await;
        // A count of due checks that is denied is left out of the answer.
        let used = tokio::time::timeout(PATIENCE, use_store()).await;
        let has_failed = used.is_err() || used.is_ok_and(|used| used.is_err());
        if denied().await.is_empty() || !has_failed && right != "+zcount" {
            superfluous.push(right);
        }
    }
    assert_eq!(superfluous, Vec::<&String>::new());
}

/// One server, whose replica acknowledges the claims.
#[tokio::test]
async fn documented_rights_suffice_and_each_is_needed() {
    let (folder, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let redis = acl::start_redis(folder.path()).await;
    let replica = acl::start_redis(second.path()).await;
    let port = redis.port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    redis.await_replica().await;
    let mut settings = settings(&url(&redis), RedisTopology::Standalone);
    settings.acknowledging = AcknowledgingReplicas::AtLeast(1);
    // `subscription_pings` shows that of `+ping`, which a subscription first needs after 5 s.
    let elsewhere = |right: &str| OF_CLUSTER.contains(&right) || right == "+ping";
    let mut permissions = permissions();
    permissions.retain(|right| !elsewhere(right));
    assert!(permissions.len() > 30, "{permissions:?}");
    assert_needed(&[&redis], &permissions, || use_store(settings.clone())).await;
}

/// A cluster, also with a slot that is being moved.
#[tokio::test]
async fn documented_rights_suffice_and_are_needed_in_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = acl::server_arguments(folder.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let options = ClusterOptions {
        masters: 2,
        server: &arguments,
        administrator: &acl::administrator(),
        ..ClusterOptions::default()
    };
    let cluster = RedisCluster::start_with(folder.path(), options).await;
    let (first, second) = (&cluster.nodes[0].redis, &cluster.nodes[1].redis);
    let urls = format!("{},{}", url(first), url(second));
    let settings = settings(&urls, RedisTopology::Cluster);
    let servers = [first, second];
    let rights = ["+cluster|info", "+cluster|nodes"].map(str::to_owned);
    assert_needed(&servers, &rights, || use_store(settings.clone())).await;
    let key = begin(1).transaction.key();
    let store = RedisStore::connect(settings.clone()).unwrap();
    let tag = format!("{{{}}}", store.partition_of(&key));
    let slot = cluster.slot_of(&tag).await;
    let to = 1 - cluster.owner(slot).await;
    let _moving = cluster.begin_move(slot, to).await;
    assert_needed(&servers, &["+asking".to_owned()], async || {
        store.load(&key).await.map(drop)
    })
    .await;
}

/// The subscription continues, but each ping would be an entry in the log of denials.
#[tokio::test]
async fn subscription_pings() {
    let folder = tempfile::tempdir().unwrap();
    let redis = acl::start_redis(folder.path()).await;
    let url = url(&redis);
    for (without, count) in [("none", 0), ("+ping", 1)] {
        grant(&[&redis], without).await;
        let settings = settings(&url, RedisTopology::Standalone);
        let store = RedisStore::open(settings, &identity()).await.unwrap();
        let denied = async {
            let pings = async |name| redis.info("commandstats", name).await;
            until("a ping", async || {
                pings("cmdstat_ping").await + denials(&redis.url).await.len() as u64 > 0
            })
            .await;
            denials(&redis.url).await
        };
        let denied = tokio::select! {
            denied = denied => denied,
            ended = store.listen(&|_| {}) => panic!("{ended:?}"),
        };
        assert_eq!(denied.len(), count, "{denied:?}");
    }
}

/// A command that only a later change uses is permitted, too.
#[test]
fn every_command_in_the_sources_is_permitted() {
    let permitted = permissions();
    let mut commands = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for start in ["redis.call('", "cmd(\"", "Cmd::", "pipeline."] {
            for rest in text.split(start).skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_alphabetic());
                commands.insert(rest[..end.unwrap()].to_ascii_lowercase());
            }
        }
    }
    // Methods that are no commands, the commands of the Sentinels, and those of operators, who need
    // further rights (docs/OPERATIONS.md).
    let others = [
        "", "new", "add", "cmd", "query", "sentinel", "atomic", "arg", "is", "scan", "memory",
    ];
    commands.retain(|command| !others.contains(&command.as_str()));
    assert!(commands.len() > 25, "{commands:?}");
    let is_permitted = |command: &&String| {
        let right = format!("+{command}");
        let of_subcommand = format!("{right}|");
        let mut permitted = permitted.iter();
        permitted.any(|known| *known == right || known.starts_with(&of_subcommand))
    };
    let denied: Vec<&String> = commands.iter().filter(|c| !is_permitted(c)).collect();
    assert_eq!(denied, Vec::<&String>::new());
}

#[tokio::test]
async fn gateway_is_denied_nothing() {
    let mut world = World::new(StoreKind::Redis).await;
    let redis = acl::start_redis(world.path()).await;
    world.set("store.url", &url(&redis));
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(acl::PASSWORD.to_owned());
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, TWO_BILLS).await;
    let codes = [reference(), reference(), reference()];
    pay(&mut client, &codes[0], &inquiry).await.unwrap();
    buy(&mut client, &codes[1], PLAIN).await;
    buy(&mut client, &codes[2], RESET_AND_CALLBACK_LOST).await;
    for code in &codes {
        let transaction = gateway.until_final(code).await;
        assert_eq!(transaction.state(), TransactionState::Succeeded);
    }
    gateway.readiness(200).await;
    assert_eq!(denials(&redis.url).await, Vec::<String>::new());
}
