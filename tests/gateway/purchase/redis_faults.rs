//! Promises 1, 2 and 3 under every fault of Redis that operators meet: what a caller is told, and what
//! OKEBAYAR receives.

use okebayar_gateway::grpc::v1::{TransactionReason, TransactionState};
use tonic::Code;

use crate::support::{
    failover::buy_again,
    redis::Redis,
    topologies::tag_of,
    world::{
        Client, Gateway, PLAIN, StoreKind, World, assert_refused, assert_succeeded, bought, buy,
        order, reference, try_buy,
    },
};

const PASSWORD: &str = "right-password";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It restarts without its data.
    LostAtRestart,
    /// Its memory is full.
    Full,
    /// It is a replica.
    ReadOnly,
    /// It takes two seconds, which is longer than `store.timeout`.
    Slow,
    /// It takes two seconds, which is shorter.
    SlowWithinTimeout,
    /// Its password changed.
    WrongPassword,
    /// A key holds another type.
    WrongType,
    /// It may evict keys.
    Evicting,
}

/// What the caller of a new purchase is told while Redis has a fault.
enum Told {
    /// The gRPC code, the reason and `sent`.
    Refused(Code, &'static str, &'static str),
    Quarantined,
    Succeeded,
}

/// What becomes of the same reference code once the fault is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Bought,
    Quarantined,
}

const UNAVAILABLE: Told = Told::Refused(Code::Unavailable, "STORE_UNAVAILABLE", "maybe");

const TABLE: [(Fault, Told, Then); 8] = [
    (Fault::LostAtRestart, Told::Quarantined, Then::Quarantined),
    (Fault::Full, UNAVAILABLE, Then::Bought),
    (Fault::ReadOnly, UNAVAILABLE, Then::Quarantined),
    (Fault::Slow, UNAVAILABLE, Then::Bought),
    (Fault::SlowWithinTimeout, Told::Succeeded, Then::Bought),
    (Fault::WrongPassword, UNAVAILABLE, Then::Bought),
    (Fault::WrongType, UNAVAILABLE, Then::Bought),
    (
        Fault::Evicting,
        Told::Refused(Code::Unavailable, "STORE_UNAVAILABLE", "no"),
        Then::Bought,
    ),
];

/// Brings the fault about for a purchase under `code`.
async fn break_redis(world: &mut World, gateway: &Gateway, fault: Fault, code: &str) {
    let redis = world.redis.as_mut().unwrap();
    match fault {
        Fault::LostAtRestart => {
            redis.kill().await;
            redis.start_again().await;
        }
        Fault::Full => redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await,
        Fault::ReadOnly => redis.command(&["REPLICAOF", "127.0.0.1", "1"]).await,
        Fault::Slow | Fault::SlowWithinTimeout => {
            redis.command(&["CLIENT", "PAUSE", "2000", "ALL"]).await;
        }
        Fault::WrongPassword => {
            let change = ["CONFIG", "SET", "requirepass", "another-password"];
            redis.command(&change).await;
            redis.url = redis.url.replace(PASSWORD, "another-password");
            redis.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        }
        Fault::WrongType => {
            let key = record_key(code);
            redis.command(&["SET", &key, "text"]).await;
        }
        Fault::Evicting => {
            let change = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"];
            redis.command(&change).await;
            // The policy is verified every few seconds.
            gateway.readiness(503).await;
        }
    }
}

async fn mend_redis(world: &mut World, gateway: &Gateway, fault: Fault, code: &str) {
    let redis = world.redis.as_mut().unwrap();
    match fault {
        Fault::LostAtRestart | Fault::Slow | Fault::SlowWithinTimeout => {}
        Fault::Full => redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await,
        Fault::ReadOnly => redis.command(&["REPLICAOF", "NO", "ONE"]).await,
        Fault::WrongPassword => {
            let change = ["CONFIG", "SET", "requirepass", PASSWORD];
            redis.command(&change).await;
            redis.url = redis.url.replace("another-password", PASSWORD);
        }
        Fault::WrongType => redis.command(&["DEL", &record_key(code)]).await,
        Fault::Evicting => {
            let change = ["CONFIG", "SET", "maxmemory-policy", "noeviction"];
            redis.command(&change).await;
        }
    }
    gateway.readiness(200).await;
}

fn record_key(code: &str) -> String {
    format!("okb:{}:tx:{}", tag_of(code), code.replace('-', ""))
}

async fn world_with_password(timeout: &str) -> World {
    let mut world = World::new(StoreKind::Redis).await;
    let options = ["--appendonly", "no", "--requirepass", PASSWORD];
    let mut redis = Redis::start_with(world.path(), &options).await;
    redis.url = format!("redis://:{PASSWORD}@127.0.0.1:{}", redis.port());
    world
        .set("store.url", &redis.url)
        .set("store.timeout", timeout);
    world.redis = Some(redis);
    world
}

async fn assert_row(fault: Fault, told: Told, then: Then) {
    let is_patient = fault == Fault::SlowWithinTimeout;
    let mut world = world_with_password(if is_patient { "10s" } else { "1s" }).await;
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(PASSWORD.to_owned());
    let mut client = gateway.client().await;
    let (before, code) = (reference(), reference());
    assert_succeeded(&buy(&mut client, &before, PLAIN).await);
    break_redis(&mut world, &gateway, fault, &code).await;
    let answer = async |client: &mut Client| try_buy(client, order(&code, PLAIN)).await;
    let received = match told {
        Told::Refused(code, reason, sent) => {
            let answer = answer(&mut client).await;
            assert_refused(answer, code, reason, sent);
            0
        }
        Told::Quarantined => {
            // The first call may use the broken connection.
            let transaction = buy_again(&mut client, &code).await;
            assert_eq!(transaction.state(), TransactionState::Confirming);
            assert_eq!(transaction.reason(), TransactionReason::Quarantined);
            0
        }
        Told::Succeeded => {
            assert_succeeded(&bought(answer(&mut client).await.unwrap()));
            1
        }
    };
    assert_eq!(world.ledger(&code).await.received, received);

    mend_redis(&mut world, &gateway, fault, &code).await;
    let again = buy_again(&mut client, &code).await;
    let received = match then {
        Then::Bought => {
            assert_succeeded(&again);
            1
        }
        Then::Quarantined => {
            assert_eq!(again.reason(), TransactionReason::Quarantined);
            0
        }
    };
    assert_eq!(world.ledger(&code).await.received, received);
    // Neither is what was bought before bought again.
    buy_again(&mut client, &before).await;
    assert_eq!(world.ledger(&before).await.received, 1);
}

#[tokio::test]
async fn every_fault_of_redis_is_reported_and_sends_at_most_once() {
    let mut failed = Vec::new();
    let rows = TABLE
        .into_iter()
        .map(|(fault, told, then)| (fault, tokio::spawn(assert_row(fault, told, then))));
    // All rows are started before the first is awaited.
    for (fault, row) in rows.collect::<Vec<_>>() {
        if row.await.is_err() {
            failed.push(fault);
        }
    }
    assert_eq!(failed, []);
}
