//! The settings of an embedded store.

use std::time::Duration;

/// The options with which an embedded store is opened and used.
#[derive(Clone, Copy, Debug)]
pub struct RedbSettings {
    /// The time-out of one call.
    pub timeout: Duration,
    /// True to reject a missing store instead of creating it.
    pub must_exist: bool,
}

impl Default for RedbSettings {
    /// Returns the settings for a command, whose store has no waiting callers.
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            must_exist: false,
        }
    }
}
