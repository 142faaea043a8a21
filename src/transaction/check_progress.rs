//! The progress of the status checks of a transaction.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::schedule::Phase;

/// The progress of the status checks of a transaction, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckProgress {
    pub(super) phase: Phase,
    pub(super) phase_since: Timestamp,
    /// The number of scheduled checks made in this phase.
    pub(super) made: u32,
    /// The time of the latest check of any kind.
    pub(super) last_at: Option<Timestamp>,
    /// The time of the next scheduled check.
    pub(super) next_at: Option<Timestamp>,
    /// The time of a check that a callback or a caller requested.
    pub(super) asked_at: Option<Timestamp>,
    /// The time until which no check is due, because no gateway had the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) passed_over_until: Option<Timestamp>,
    /// The latest attempt for which OKEBAYAR answered a check without any sign of the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) absent_attempt: Option<u32>,
    /// The number of callbacks that requested a check. A release without this field drops it, which
    /// then reads as a new request.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) asks: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
