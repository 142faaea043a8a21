//! The bounds on concurrent watchers and waiters.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

use super::records::Ledger;
use crate::telemetry::Metrics;

/// The admission of one caller that waits for an outcome; it ends when this is dropped.
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
    /// Admits one watcher; `None` when too many watch.
    pub(super) fn admit_watcher(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watchers).try_acquire_owned().ok()
    }

    /// Admits one caller that waits; `None` when too many wait.
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
