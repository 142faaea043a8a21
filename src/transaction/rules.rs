//! The times by which evidence is judged, and the attempt for which it is judged.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::intent::Operation;

/// The times by which evidence is judged. A transaction keeps the rules it began with, so that a
/// change of configuration never changes a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The least time between two doubtful checks that agree; 5 minutes by default.
    pub doubtful_gap: SignedDuration,
    /// The least time from the POST to a "never received" that is believed; 10 minutes by
    /// default (docs/OKEBAYAR.md, section 3.2).
    pub not_received_after: SignedDuration,
    /// The greatest difference between the clocks of two gateways; 1 minute by default. The times
    /// in one record may come from two gateways, so every rule that waits adds it.
    /// Zero in a record of a release without this field, so that its status does not change.
    #[serde(default)]
    pub clock_skew: SignedDuration,
}

impl Rules {
    /// Returns true when `to` is at least `wait` after `from`, whichever gateways read the clock.
    pub(super) fn are_apart(&self, from: Timestamp, to: Timestamp, wait: SignedDuration) -> bool {
        to.duration_since(from) >= wait.saturating_add(self.clock_skew)
    }
}

/// The latest attempt of a transaction, for which its evidence is judged.
#[derive(Clone, Copy, Debug)]
pub struct LatestAttempt {
    /// The kind of the transaction.
    pub operation: Operation,
    /// The number of the attempt, counted from 1.
    pub number: u32,
    /// The latest time at which the POST of the attempt can have left.
    pub armed_at: Timestamp,
    /// The attempt is quarantined, so it was not sent. An earlier one may have been sent, of
    /// which nothing is known.
    pub is_quarantined: bool,
    /// The time after which the caller wants nothing to be sent, if it stated one.
    pub expire_at: Option<Timestamp>,
}
