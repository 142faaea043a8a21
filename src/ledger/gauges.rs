//! Counts the transactions that are not final, and how busy the gateway is, for the
//! gauges.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::engine::Engine;

/// Counts at once and then every `interval`, until `stopping`.
pub async fn run(engine: Arc<Engine>, interval: Duration, stopping: CancellationToken) {
    loop {
        if let Err(error) = engine.count().await {
            // That the store does not answer is told elsewhere.
            debug!(%error, "the transactions could not be counted");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// The rest after a count that had to read records, as a multiple of the time it took.
const REST: u32 = 10;

/// Counts the open transactions of accounts that are not configured, at once and then every
/// `interval`, until `stopping`; reports each such account in the log.
pub async fn run_unconfigured(
    engine: Arc<Engine>,
    interval: Duration,
    stopping: CancellationToken,
) {
    let mut reported = BTreeSet::new();
    loop {
        let began = Instant::now();
        let counted = tokio::select! {
            () = stopping.cancelled() => return,
            counted = engine.count_unconfigured(&mut reported) => counted,
        };
        if let Err(error) = counted {
            debug!(%error, "the transactions of unconfigured accounts could not be counted");
        }
        let rest = interval.max(began.elapsed() * REST);
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
