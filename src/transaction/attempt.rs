//! Attempts to send: how they are armed, and which were held back.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{schedule::Schedule, tokens::AttemptToken};

/// How an attempt is armed.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    /// Names it.
    pub token: AttemptToken,
    /// The time now.
    pub at: Timestamp,
    /// It must not be sent: the store may have forgotten that the reference code was
    /// sent before.
    pub is_quarantined: bool,
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
pub struct QuarantinedAttempt {
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// When it was held back.
    pub at: Timestamp,
}
