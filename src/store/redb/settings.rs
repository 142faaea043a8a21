//! The settings of an embedded store.

use std::time::Duration;

/// The options with which an embedded store is opened and used.
#[derive(Clone, Copy, Debug)]
pub struct RedbSettings {
    /// The longest time of one call.
    pub timeout: Duration,
    /// Refuse to make a store where there is none.
    pub must_exist: bool,
}

impl Default for RedbSettings {
    /// Returns the settings of a command: no caller waits for it.
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            must_exist: false,
        }
    }
}
