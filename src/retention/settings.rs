//! The settings of retention.

use std::time::Duration;

use jiff::SignedDuration;

/// The times after which something ends, each counted from the last change.
#[derive(Clone, Copy, Debug)]
pub struct RetentionSettings {
    /// The time for which the record of a final transaction is kept.
    pub final_kept: SignedDuration,
    /// The time for which its tombstone is kept afterwards.
    pub tombstones_kept: SignedDuration,
    /// The time for which a transaction is kept of which nothing was sent.
    pub not_sent_kept: SignedDuration,
    /// The time for which the items of bounded lists are kept.
    pub lists_kept: SignedDuration,
    /// The time between two renewals of the notes of open transactions.
    pub renewal_interval: Duration,
    /// The pause between two passes over the store.
    pub interval: Duration,
    /// The time for which the clock must be steady after a jump before something ends.
    pub clock_settles: Duration,
}

impl RetentionSettings {
    /// Returns the time from the last change of a transaction to the end of its tombstone.
    #[must_use]
    pub fn until_tombstone_ends(&self) -> SignedDuration {
        self.final_kept.saturating_add(self.tombstones_kept)
    }
}
