//! Tombstones of retired transactions, so that their reference codes are never sent again.

use jiff::{SignedDuration, Timestamp};

use crate::transaction::{State, Transaction};

const DAY_SECONDS: i64 = 24 * 3600;

/// The final state of a retired transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetiredState {
    /// The money was spent.
    Succeeded,
    /// The transaction failed, provably.
    Failed,
    /// A success was reversed.
    Reversed,
}

impl RetiredState {
    /// Every one of them, in the order of [`State::NAMES`].
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Reversed];

    /// Returns the name of the state, as [`State::name`] gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Reversed => "REVERSED",
        }
    }
}

/// The remainder of a final transaction whose record has ended. Something was sent under its
/// reference code, or may have been: what provably was not sent leaves no tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The final state.
    pub state: RetiredState,
    /// The day of the last change in UTC, counted from 1970. The end of the tombstone follows from
    /// it, so that a change of the retention applies to every tombstone.
    pub changed_on: i64,
    /// The caller that the transaction belongs to; empty where callers have no identity.
    pub owner: String,
}

impl Tombstone {
    /// Returns the tombstone of a transaction; `None` when the transaction is not final.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Option<Self> {
        let state = transaction.status().state;
        let retired = match &state {
            State::Succeeded { .. } => RetiredState::Succeeded,
            State::Failed(_) => RetiredState::Failed,
            State::Reversed { .. } => RetiredState::Reversed,
            State::Sending
            | State::Pending
            | State::Confirming(_)
            | State::NotSent(_)
            | State::NeedsReview { .. } => return None,
        };
        state.is_terminal().then(|| Self {
            state: retired,
            changed_on: day_of(transaction.updated_at()),
            owner: String::new(),
        })
    }

    /// Returns true when the transaction failed: it spent nothing.
    #[must_use]
    pub fn has_paid_nothing(&self) -> bool {
        self.state == RetiredState::Failed
    }

    /// Returns a time by which the transaction had changed for the last time: the end of that day.
    #[must_use]
    pub fn changed_before(&self) -> Timestamp {
        let next_day = self.changed_on.saturating_add(1);
        Timestamp::from_second(next_day.saturating_mul(DAY_SECONDS)).unwrap_or(Timestamp::MAX)
    }
}

/// Returns the day of a time in UTC, counted from 1970.
fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY_SECONDS)
}

/// Returns the first day whose tombstones are kept at `now`, if they are kept for `kept` after the
/// last change.
#[must_use]
pub fn first_day_kept(now: Timestamp, kept: SignedDuration) -> i64 {
    // A tombstone is kept from the end of its day on.
    now.checked_sub(kept).map_or(i64::MIN, day_of)
}

/// The result of the removal of some tombstones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweptTombstones {
    /// The number of tombstones that were removed.
    pub removed: u64,
    /// The place at which to continue; `None` at the end.
    pub next: Option<String>,
}

/// The result of retiring a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retirement {
    /// The record is gone, and its tombstone is stored.
    Done,
    /// The stored version is another one, or none is stored. Nothing was written.
    Conflict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstone_is_kept_for_whole_days_after_last_change() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let tombstone = Tombstone {
            state: RetiredState::Failed,
            changed_on: day_of(at(10 * DAY_SECONDS + 1)),
            owner: String::new(),
        };
        assert_eq!(tombstone.changed_before(), at(11 * DAY_SECONDS));
        let kept = SignedDuration::from_hours(48);
        let is_kept = |now| tombstone.changed_on >= first_day_kept(at(now), kept);
        assert!(is_kept(13 * DAY_SECONDS - 1), "two days after its last day");
        assert!(!is_kept(13 * DAY_SECONDS));
    }
}
