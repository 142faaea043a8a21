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
        let mut by_age = [0; AGES.len()];
        for state in UNRESOLVED {
            let open = self.store.count(state, 0, ListingEntry::MS_MAX).await?;
            self.metrics.open(state, open);
            self.add_by_age(state, open, &mut by_age).await?;
        }
        for ((_, name), unresolved) in AGES.into_iter().zip(by_age) {
            self.metrics.unresolved(name, unresolved);
        }
        Ok(())
    }

    /// Adds the `open` transactions of a state to the count of each age range. Each count costs a
    /// command for each partition, so none is made for what the others leave.
    async fn add_by_age(
        &self,
        state: &'static str,
        open: u64,
        by_age: &mut [u64; AGES.len()],
    ) -> Result<(), StoreError> {
        let now_ms = (self.ambient.now)().as_millisecond();
        let (mut left, mut to_ms) = (open, ListingEntry::MS_MAX);
        // The age ranges are contiguous and cover all of time, the newest first.
        for (index, (age_seconds, _)) in AGES.into_iter().enumerate() {
            let from_ms = now_ms
                .saturating_sub(age_seconds.saturating_mul(1000))
                .max(0);
            let count = if left == 0 || from_ms == 0 {
                left
            } else {
                self.store.count(state, from_ms, to_ms).await?.min(left)
            };
            by_age[index] += count;
            left -= count;
            to_ms = from_ms;
        }
        Ok(())
    }
}
