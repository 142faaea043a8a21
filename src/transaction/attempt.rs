//! Attempts to send, and their arming.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{schedule::Schedule, tokens::AttemptToken};

/// The terms on which an attempt is armed.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    /// The token of the attempt.
    pub token: AttemptToken,
    /// The current time.
    pub at: Timestamp,
    /// The attempt must not be sent: the store may have lost the record of an earlier one under the
    /// reference code.
    pub is_quarantined: bool,
    /// The time after which the caller wants nothing to be sent, if it stated one.
    pub expire_at: Option<Timestamp>,
    /// The reference code is sent without hyphens. Counts for the first attempt only.
    pub omits_hyphens: bool,
}

/// One attempt to send, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) token: AttemptToken,
    pub(super) armed_at: Timestamp,
    /// The time at which the POST is certainly over, by the configuration of the gateway that armed
    /// the attempt: another gateway may have shorter time-outs. An earlier release does not store
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) post_over_at: Option<Timestamp>,
    /// The time after which the caller wants nothing to be sent, if it stated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expire_at: Option<Timestamp>,
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
            expire_at: arming.expire_at,
            post_over_at: Some(schedule.post_over_at(arming.at, clock_skew)),
        }
    }
}

/// An attempt that was armed and not sent, because the store may have lost an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedAttempt {
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// The time at which the attempt was quarantined.
    pub at: Timestamp,
}
