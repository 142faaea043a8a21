//! Store identities, and commands that change accounts.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use okebayar_gateway::{
    grpc::v1::Transaction,
    store::{
        Identity,
        redis::{AcknowledgingReplicas, RedisAccess, RedisSettings, RedisTopology},
    },
    transaction::{AccountName, AccountNames},
};

use crate::support::{
    process::Process,
    redis::Redis,
    world::{BINARY, Client, World, bought, order},
};

/// Runs a command that must fail, and returns its output.
pub async fn refused(world: &World, arguments: &[&str]) -> String {
    let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
    assert!(!process.ended().await.success(), "{}", process.text());
    process.text()
}

/// Runs a command that must succeed, and returns its output.
pub async fn done(world: &World, arguments: &[&str]) -> String {
    let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
    assert!(process.ended().await.success(), "{}", process.text());
    process.text()
}

/// Repeats a purchase under an account name, and asserts that the first one is replayed.
pub async fn replay(client: &mut Client, account: &str, made: &Transaction, number: &str) {
    let mut request = order(&made.reference_code, number);
    request.account = account.to_owned();
    let answer = client.purchase_prepaid(request).await;
    let answer = answer.unwrap_or_else(|status| panic!("{account:?}: {status}"));
    let answer = answer.into_inner();
    assert!(answer.replayed, "{account:?}");
    assert_eq!(bought(answer).trace_code, made.trace_code, "{account:?}");
}

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub fn identity(account: &str, hash: &str) -> Identity {
    Identity {
        accounts: BTreeMap::from([(name(account), hash.to_owned())]),
        names: AccountNames::default(),
        epoch: uuid::Uuid::from_u128(1),
    }
}

pub fn redis_settings(redis: &Redis) -> RedisSettings {
    redis_settings_at(&redis.url)
}

/// Returns the settings of a store on one server.
pub fn redis_settings_at(url: &str) -> RedisSettings {
    RedisSettings {
        url: url.to_owned(),
        topology: RedisTopology::default(),
        access: RedisAccess::default(),
        acknowledging: AcknowledgingReplicas::default(),
        partitions: 8,
        timeout: std::time::Duration::from_secs(30),
        event_retention: SignedDuration::from_hours(1),
        keys: std::sync::Arc::default(),
    }
}
