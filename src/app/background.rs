//! The background tasks of a gateway.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    checks::{Concurrency, reconciler, unconfigured},
    config::Settings,
    gateway::Gateway,
    ledger::{gauges, hub},
    retention,
};

/// The settings of the background tasks.
pub(super) struct Background {
    checks: Concurrency,
    poll_interval: Duration,
    census_interval: Duration,
}

/// Builds the settings of the background tasks.
pub(super) fn background(settings: &Settings) -> Background {
    Background {
        checks: Concurrency {
            least: settings.limits.checking,
            most: settings.limits.checking_max,
        },
        poll_interval: settings.poll_interval,
        census_interval: settings.census_interval,
    }
}

/// Starts the background tasks: the relay of notifications, the gauges, the checks of accounts that
/// are not configured, the reader of all events, the checks of orphan callbacks, the retention, and
/// the reconciler.
pub(super) fn start_background(
    servers: &mut JoinSet<Result<()>>,
    gateway: &Gateway,
    background: &Background,
    stopping: &CancellationToken,
) {
    let (interval, stopping) = (background.census_interval, || stopping.clone());
    let relaying = hub::relay(Arc::clone(&gateway.store), gateway.hub.clone(), stopping());
    start(servers, relaying);
    let (purchases, ledger) = (Arc::clone(&gateway.purchases), Arc::clone(&gateway.ledger));
    let counting = gauges::run(interval, stopping(), async move || {
        purchases.record_occupancy();
        ledger.record_open().await
    });
    start(servers, counting);
    let checks = || Arc::clone(&gateway.checks);
    start(servers, unconfigured::run(checks(), interval, stopping()));
    let ledger = Arc::clone(&gateway.ledger);
    start(servers, async move { ledger.read_events().await });
    let callbacks = Arc::clone(&gateway.callbacks);
    start(servers, async move { callbacks.check_orphans().await });
    start(servers, retention::run(Arc::clone(&gateway.retention)));
    let Background {
        checks: concurrency,
        poll_interval,
        ..
    } = background;
    let reconciling = reconciler::run(checks(), *concurrency, *poll_interval, stopping());
    start(servers, reconciling);
}

/// Starts a task that ends only when the gateway stops.
pub(super) fn start(
    servers: &mut JoinSet<Result<()>>,
    part: impl Future<Output = ()> + Send + 'static,
) {
    servers.spawn(async move {
        part.await;
        Ok(())
    });
}
