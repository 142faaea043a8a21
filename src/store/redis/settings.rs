//! The settings of a shared store.

use std::time::Duration;

use jiff::SignedDuration;

/// The address and the layout of a shared store.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port[/db]`, or `rediss://` for TLS.
    pub url: String,
    /// The number of partitions of the keys; fixed when the store is created.
    pub partitions: u64,
    /// The time-out of one call, including a reconnection.
    pub timeout: Duration,
    /// The time for which events are kept for watchers that resume.
    pub event_retention: SignedDuration,
}

impl std::fmt::Debug for RedisSettings {
    /// Formats without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("partitions", &self.partitions)
            .field("timeout", &self.timeout)
            .field("event_retention", &self.event_retention)
            .finish_non_exhaustive()
    }
}
