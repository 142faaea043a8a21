//! How far the status checks of a transaction have got.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::schedule::Phase;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckProgress {
    pub(super) phase: Phase,
    pub(super) phase_since: Timestamp,
    /// Scheduled checks made in this phase.
    pub(super) made: u32,
    pub(super) last_at: Option<Timestamp>,
    /// When the schedule wants the next one.
    pub(super) next_at: Option<Timestamp>,
    /// When a callback wants one, out of turn.
    pub(super) asked_at: Option<Timestamp>,
    /// Until when the schedule goes on without checks: no gateway had the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) passed_over_until: Option<Timestamp>,
    /// The latest attempt of which OKEBAYAR answered a check without any sign of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) absent_attempt: Option<u32>,
    /// Counts the callbacks that asked for one. A release that does not know it leaves
    /// it out, which reads as a new request.
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
