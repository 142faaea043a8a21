//! The expiry and the errors that all notes of inquiries have in common.

use jiff::{SignedDuration, Timestamp};

use crate::store::{Expiry, StoreError};

/// The time for which an inquiry is kept after it can no longer be paid.
pub(super) const INQUIRY_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// The time for which the marks of reference codes and the lists of bills are kept: longer than
/// any check schedule.
pub(super) const MARK_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Returns the expiry of a note that is kept for `by` after `from`.
pub(super) fn keep(now: Timestamp, from: Timestamp, by: SignedDuration) -> Expiry {
    Expiry {
        now,
        until: from.checked_add(by).unwrap_or(Timestamp::MAX),
    }
}

/// Builds the error for an unreadable note.
pub(super) fn corrupt(name: &str) -> StoreError {
    StoreError::Corrupt {
        key: name.to_owned(),
        problem: "it cannot be read".to_owned(),
    }
}
