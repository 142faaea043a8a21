//! The settings of an embedded store.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use crate::store::EncryptionKeys;

/// The options with which an embedded store is opened and used.
#[derive(Clone, Debug)]
pub struct RedbSettings {
    /// The time-out of one call.
    pub timeout: Duration,
    /// True to reject a missing store instead of creating it.
    pub must_exist: bool,
    /// The time for which events are kept for watchers that resume.
    pub event_retention: SignedDuration,
    /// The keys of encryption at rest.
    pub keys: Arc<EncryptionKeys>,
}

impl Default for RedbSettings {
    /// Returns the settings for a command, whose store has no waiting callers.
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            must_exist: false,
            event_retention: SignedDuration::from_hours(168),
            keys: Arc::default(),
        }
    }
}
