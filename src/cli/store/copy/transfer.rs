//! A copy in progress, as its parts see it.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::store::{CopyMark, Expiry, OpenedStore, StoreError};

/// The number of entries that are copied or compared concurrently.
pub(super) const AT_ONCE: usize = 256;
/// The number of attempts at one write.
const TRIES_MAX: u32 = 5;
/// The time for which a note without an end is kept.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The stores of a copy, and what keeps another run of it from writing to the target as well.
pub(super) struct Transfer<'a> {
    pub(super) source: &'a OpenedStore,
    pub(super) target: &'a OpenedStore,
    /// The mark of the target for as long as it is written to.
    pub(super) mark: &'a CopyMark,
    /// The name of the seal of the target, which every commit gives.
    pub(super) seal: &'a str,
    /// Returns the current time.
    pub(super) now: fn() -> Timestamp,
}

impl Transfer<'_> {
    /// Verifies that the target still is that of this copy.
    ///
    /// SUBTLE: a copy that was frozen must not write to a store in use: 1. it is frozen before a write;
    /// 2. another run finishes the copy, and a gateway uses the target; 3. it continues. A commit names
    /// the seal, which that run replaced; other writes follow this verification.
    pub(super) async fn require_marked(&self) -> Result<()> {
        let mark = self.target.copy_mark().await;
        let mark = mark.context("the copy is not finished")?;
        ensure!(
            mark.as_ref() == Some(self.mark),
            "the target is not that of this copy any more: it was emptied, or another run of the copy \
             finished; nothing is copied any further"
        );
        Ok(())
    }
}

/// Returns the expiry of a note that is read now; `None` when it has expired.
pub(super) fn expiry_of(until: Option<Timestamp>, now: Timestamp) -> Option<Expiry> {
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    let end = until.or_else(|| now.checked_add(FOR_EVER).ok());
    let until = end.unwrap_or(Timestamp::MAX);
    Some(Expiry { now, until })
}

/// Repeats an idempotent write after a transient failure.
pub(super) async fn retried<T>(
    write: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut tries = 1;
    loop {
        match write().await {
            Err(error) if error.is_transient() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}
