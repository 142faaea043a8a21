//! The limits on concurrent watchers and waiters, and the times of watches.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

use super::{records::Ledger, watch_timer::WatchTimer};
use crate::telemetry::Metrics;

/// The permit of one caller that waits for an outcome; released when this is dropped.
pub struct Waiter<'a> {
    metrics: &'a Metrics,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.metrics.waiter(-1);
    }
}

impl Ledger {
    /// Acquires the permit of one watcher; `None` when the limit is reached.
    pub(super) fn admit_watcher(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watchers).try_acquire_owned().ok()
    }

    /// Starts the timer of a watch that has just begun.
    pub(super) fn watch_timer(&self) -> WatchTimer {
        let number = self.watches_begun.fetch_add(1, Ordering::Relaxed);
        WatchTimer::start(self.watch_times, number)
    }

    /// Acquires the permit of one waiting caller; `None` when the limit is reached.
    pub fn admit_waiter(&self) -> Option<Waiter<'_>> {
        let permit = self.waiters.try_acquire().ok()?;
        let metrics = &self.metrics;
        metrics.waiter(1);
        Some(Waiter {
            metrics,
            _permit: permit,
        })
    }
}
