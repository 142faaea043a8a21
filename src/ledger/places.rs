//! How many callers may watch or wait at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

use crate::{engine::Engine, ledger::watch::WatchError, telemetry::Metrics};

/// The place of one caller that waits for an outcome.
pub(crate) struct Waiter<'a> {
    metrics: &'a Metrics,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.metrics.waiter(-1);
    }
}

impl Engine {
    /// Takes the place of one watcher.
    pub(crate) fn admit_watcher(&self) -> Result<OwnedSemaphorePermit, WatchError> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        permit.map_err(|_| WatchError::TooMany)
    }

    /// Takes the place of one caller that waits; `None` when too many do.
    pub(crate) fn admit_waiter(&self) -> Option<Waiter<'_>> {
        let permit = self.waiters.try_acquire().ok()?;
        let metrics = self.metrics();
        metrics.waiter(1);
        Some(Waiter {
            metrics,
            _permit: permit,
        })
    }
}
