//! The limits on concurrent watchers and waiters.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

use super::records::Ledger;
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
