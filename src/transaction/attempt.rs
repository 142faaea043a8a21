//! Attempts to send: what names them, how they are armed, and which were held back.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schedule::Schedule;

/// How an attempt is armed.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    /// Names it.
    pub token: AttemptToken,
    /// The time now.
    pub at: Timestamp,
    /// It must not be sent: the store may have forgotten that the reference code was
    /// sent before.
    pub is_held_back: bool,
}

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) token: AttemptToken,
    pub(super) armed_at: Timestamp,
    /// When its POST is over, by the configuration of the gateway that armed it: another one
    /// may have shorter time-outs. An earlier release does not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) post_over_at: Option<Timestamp>,
}

impl Attempt {
    pub(super) fn new(
        number: u32,
        arming: Arming,
        schedule: &Schedule,
        clock_skew: SignedDuration,
    ) -> Self {
        Self {
            number,
            token: arming.token,
            armed_at: arming.at,
            post_over_at: Some(schedule.post_over_at(arming.at, clock_skew)),
        }
    }
}

/// An attempt that was armed and not sent: the store may have forgotten an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// When it was held back.
    pub at: Timestamp,
}

/// Names one version of a transaction. A store that lost records may come to hold
/// another one with the same count, made by another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Counts every save.
    pub version: u64,
    /// The attempt that it is about.
    pub token: AttemptToken,
}
