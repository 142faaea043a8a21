//! Tokens of attempts and leases, and the identity of a version.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The token of one attempt to send. Only its creator may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptToken(pub(super) Uuid);

impl AttemptToken {
    /// The token of an event, which does not name its attempt.
    pub(super) const NONE: Self = Self(Uuid::nil());

    /// Builds a token from random bytes.
    #[must_use]
    pub fn new(random: Uuid) -> Self {
        Self(random)
    }

    /// Returns the bytes of the token.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for AttemptToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The token of one lease on a status check. Only its creator may release the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(Uuid);

impl LeaseToken {
    /// Builds a token from random bytes.
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

/// The identity of one version of a transaction. The count alone does not identify it: a store that
/// lost records may hold another version with the same count, made by another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseVersion {
    /// The number of saves.
    pub version: u64,
    /// The token of the latest attempt in that version.
    pub token: AttemptToken,
}
