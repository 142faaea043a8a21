//! Retries of a watch that was interrupted.

use std::time::Duration;

use tonic::{Code, Status};

/// The pause before an interrupted watch is opened again.
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The most retries in a row without an update.
const WATCH_RETRIES_MAX: u32 = 30;

/// The retries that an interrupted watch has left.
pub(super) struct WatchRetry {
    retries: u32,
}

impl WatchRetry {
    /// Returns the retries of a watch that was never open: none, so that a wrong address or
    /// argument is reported at once.
    pub(super) fn none() -> Self {
        Self {
            retries: WATCH_RETRIES_MAX,
        }
    }

    /// Returns every retry: for a watch of a transaction that the gateway has answered about.
    pub(super) fn full() -> Self {
        Self { retries: 0 }
    }

    /// Returns the pause before the next retry.
    ///
    /// # Errors
    /// The error that interrupted the watch, if it is no broken connection and no gateway that
    /// stops, or if no retry is left.
    pub(super) fn pause_after(&mut self, error: Status) -> Result<Duration, Status> {
        let is_interruption = matches!(
            error.code(),
            Code::Unavailable | Code::Cancelled | Code::Unknown
        );
        self.retries += 1;
        if !is_interruption || self.retries > WATCH_RETRIES_MAX {
            return Err(error);
        }
        Ok(WATCH_AGAIN_AFTER)
    }
}
