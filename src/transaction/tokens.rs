//! The names of attempts, of leases on status checks and of versions.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one attempt to send; whoever made it may send, nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptToken(pub(super) Uuid);

impl AttemptToken {
    /// The token with these random bytes.
    #[must_use]
    pub fn new(random: Uuid) -> Self {
        Self(random)
    }
}

impl std::fmt::Display for AttemptToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one lease on a status check; whoever made it may release it, nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(Uuid);

impl LeaseToken {
    /// The token with these random bytes.
    #[must_use]
    pub fn new(random: Uuid) -> Self {
        Self(random)
    }
}

impl std::fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one version of a transaction. A store that lost records may come to hold
/// another one with the same count, made by another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseVersion {
    /// Counts every save.
    pub version: u64,
    /// The attempt that it is about.
    pub token: AttemptToken,
}
