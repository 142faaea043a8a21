//! The notes of inquiries: how long they are kept, and what is common to all.

use jiff::{SignedDuration, Timestamp};

use crate::store::{Expiry, StoreError};

/// The time for which an inquiry is kept after it can no longer be paid.
pub(super) const INQUIRY_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// The time for which the marks are kept (reference codes that were used for inquiries, the
/// transactions of one bill): longer than any status check runs.
pub(super) const MARK_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Builds the expiry of a note that is kept for `by` after `from`.
pub(super) fn keep(now: Timestamp, from: Timestamp, by: SignedDuration) -> Expiry {
    Expiry {
        now,
        until: from.checked_add(by).unwrap_or(Timestamp::MAX),
    }
}

/// Builds the error that a note cannot be read.
pub(super) fn corrupt(name: &str) -> StoreError {
    StoreError::Corrupt {
        key: name.to_owned(),
        problem: "it cannot be read".to_owned(),
    }
}
