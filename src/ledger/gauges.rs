//! The gauges of open transactions.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::records::Ledger;
use crate::{
    store::{ListingEntry, StoreError, unresolved::UNRESOLVED},
    telemetry::AGES,
};

/// The state of transactions that are not final, and not unresolved either: nothing was sent.
const NOT_SENT: &str = "NOT_SENT";

/// Records the gauges immediately, and then every `interval` until `stopping`.
pub async fn run(
    interval: Duration,
    stopping: CancellationToken,
    record: impl AsyncFn() -> Result<(), StoreError>,
) {
    loop {
        if let Err(error) = record().await {
            // At debug level: the health report logs the failure of the store.
            debug!(%error, "open transactions could not be counted; retrying at the next interval");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

impl Ledger {
    /// Counts the transactions that are not final, and records the counts as gauges.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn record_open(&self) -> Result<(), StoreError> {
        let not_sent = self.store.count(NOT_SENT, 0, ListingEntry::MS_MAX).await?;
        self.metrics.open(NOT_SENT, not_sent);
        let mut open = [0; UNRESOLVED.len()];
        let now_ms = (self.ambient.now)().as_millisecond();
        let mut to_ms = ListingEntry::MS_MAX;
        // The age ranges are contiguous and cover all of time.
        for (age_seconds, name) in AGES {
            let from_ms = now_ms
                .saturating_sub(age_seconds.saturating_mul(1000))
                .max(0);
            let mut unresolved = 0;
            for (state, open) in UNRESOLVED.into_iter().zip(&mut open) {
                let count = self.store.count(state, from_ms, to_ms).await?;
                unresolved += count;
                *open += count;
            }
            self.metrics.unresolved(name, unresolved);
            to_ms = from_ms;
        }
        for (state, open) in UNRESOLVED.into_iter().zip(open) {
            self.metrics.open(state, open);
        }
        Ok(())
    }
}
