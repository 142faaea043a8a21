//! The times by which evidence is judged, and the attempt that it is judged for.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::intent::Operation;

/// The times by which evidence is judged. A transaction keeps those it began
/// with, so that a change of configuration never changes a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How far apart two agreeing doubtful checks must be; 5 minutes by default.
    pub doubtful_gap: SignedDuration,
    /// How long after the POST at the earliest "never received" is believed;
    /// 10 minutes by default (API page, 3.2).
    pub not_received_after: SignedDuration,
    /// The most by which the clocks of two gateways differ; 1 minute by default. Times in
    /// one record may come from two of them, so a rule that waits waits that much longer.
    /// Zero in a record of a release that did not know it: its standing stays as it was.
    #[serde(default)]
    pub clock_skew: SignedDuration,
}

impl Rules {
    /// Returns true when `to` is at least `wait` after `from`, whichever gateways read the
    /// clock.
    pub(super) fn are_apart(&self, from: Timestamp, to: Timestamp, wait: SignedDuration) -> bool {
        to.duration_since(from) >= wait.saturating_add(self.clock_skew)
    }
}

/// What the evidence is about.
#[derive(Clone, Copy, Debug)]
pub struct LatestAttempt {
    /// What kind of transaction it is.
    pub operation: Operation,
    /// The number of the latest attempt, counted from 1.
    pub attempt: u32,
    /// When the POST of that attempt can have left at the latest.
    pub armed_at: Timestamp,
    /// That attempt was held back, so it was not sent; an earlier one may have been, of
    /// which nothing is known.
    pub is_quarantined: bool,
}
