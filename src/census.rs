//! Counts the transactions that are not final, and how busy the gateway is, for the
//! gauges.

use std::{sync::Arc, time::Duration};

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
