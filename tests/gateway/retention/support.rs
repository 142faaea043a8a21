//! Worlds whose records end soon.

use okebayar_gateway::{
    grpc::v1::{
        GetTransactionRequest, ResolveTransactionRequest, Transaction, TransactionResolution,
        get_transaction_request::Code,
    },
    store::Tombstone,
};
use tonic::Status;

use crate::support::{
    bills::store_of,
    failover::stop,
    metrics::until,
    redis::Redis,
    world::{Client, Gateway, World, assert_refused, metadata},
};

/// Makes every record end at once, whatever `allow_short_times` forbids elsewhere.
pub fn end_at_once(world: &mut World) {
    world
        .set("retention.final", "1ms")
        .set("retention.not_sent", "1ms")
        .set("retention.interval", "20ms");
}

/// Makes the times of an attempt short, so that nothing is in flight for long.
pub fn send_quickly(world: &mut World) {
    world
        .set("accounts.main.timeout", "500ms")
        .set("accounts.main.connect_timeout", "200ms")
        .set("limits.queue_timeout", "100ms")
        .set("store.timeout", "1s")
        .set("checks.sending_margin", "10ms");
}

/// Restarts a gateway as one whose records end at once, and waits until so many have ended.
pub async fn restart_ending(world: &mut World, gateway: Gateway, count: u32) -> Gateway {
    stop(gateway).await;
    end_at_once(world);
    let gateway = world.start_gateway().await;
    until_retired(&gateway, "", count).await;
    gateway
}

/// Waits until so many records have ended in a state.
pub async fn until_retired(gateway: &Gateway, state: &str, count: u32) {
    let label = if state.is_empty() {
        String::new()
    } else {
        format!("state=\"{state}\"")
    };
    let is_reached = |sum| sum >= f64::from(count);
    until(
        gateway,
        "okebayar_retention_retired_total",
        &label,
        is_reached,
    )
    .await;
}

/// Asserts that a call is refused because its reference code is retired.
pub fn assert_retired<T: std::fmt::Debug>(result: Result<T, Status>, state: &str) {
    let (code, reason) = (tonic::Code::FailedPrecondition, "REFERENCE_RETIRED");
    let status = assert_refused(result, code, reason, "maybe");
    assert_eq!(metadata(&status, "state"), state);
}

pub async fn resolve(
    client: &mut Client,
    code: &str,
    revision: i64,
    resolution: TransactionResolution,
) -> Result<Transaction, Status> {
    let request = ResolveTransactionRequest {
        reference_code: code.to_owned(),
        revision,
        resolution: resolution.into(),
        operator: "test".into(),
        note: "as the test decides".into(),
        ..ResolveTransactionRequest::default()
    };
    let resolved = client.resolve_transaction(request).await?;
    Ok(resolved.into_inner().transaction.unwrap())
}

pub async fn get_by_trace(client: &mut Client, trace_code: &str) -> Result<Transaction, Status> {
    let request = GetTransactionRequest {
        account: String::new(),
        code: Some(Code::TraceCode(trace_code.to_owned())),
    };
    let found = client.get_transaction(request).await?;
    Ok(found.into_inner().transaction.unwrap())
}

/// Retires a final transaction in a Redis, as another replica does.
pub async fn retire(world: &World, code: &str) {
    retire_as(world, code, |_| {}).await;
}

/// Retires a final transaction in a Redis with a changed tombstone.
pub async fn retire_as(world: &World, code: &str, change: impl Fn(&mut Tombstone)) {
    use okebayar_gateway::store::{Retirement, Store};
    let store = store_of(world).await;
    let last = store.load(&crate::support::bills::key(code)).await;
    let last = last.unwrap().unwrap();
    let mut tombstone = Tombstone::of(&last).expect("it is final");
    change(&mut tombstone);
    let retired = store.retire(&last, Some(&tombstone)).await.unwrap();
    assert_eq!(retired, Retirement::Done);
}

/// Returns the keys that match a pattern.
pub async fn keys(redis: &Redis, pattern: &str) -> Vec<String> {
    let mut connection = redis.connection().await;
    let mut keys = redis::cmd("KEYS");
    keys.arg(pattern);
    keys.query_async(&mut connection).await.unwrap()
}
