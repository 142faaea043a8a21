//! The lease by which one replica at a time makes passes. It saves work, and protects nothing: each
//! record is retired by compare-and-delete.
//!
//! Its end is compared with the clock of the store, which all replicas share. An end that is further
//! away than a lease lasts was written by a clock that was ahead, and counts as expired.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::{CasResult, Expiry, Store, StoreError};

/// The name of the note that holds the lease.
const NOTE: &str = "retention";
/// The expiry that deletes a note when it is written.
const IN_THE_PAST: Timestamp = Timestamp::constant(1, 0);

/// The lease as stored.
#[derive(Serialize, Deserialize)]
struct LeaseNote {
    holder: Uuid,
    until: Timestamp,
}

/// The lease of this process on passes, held or not.
pub(super) struct PassLease {
    id: Uuid,
    lasts: Duration,
    skew: SignedDuration,
    /// The stored text, and the start, of the lease that this process holds.
    held: Option<(String, Instant)>,
}

impl PassLease {
    /// Builds a lease that is not held.
    pub(super) fn new(id: Uuid, lasts: Duration, skew: SignedDuration) -> Self {
        Self {
            id,
            lasts,
            skew,
            held: None,
        }
    }

    /// Acquires or renews the lease. Returns false while another process holds it.
    pub(super) async fn acquire(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.held = None;
        let until = now.checked_add(self.lasts).unwrap_or(Timestamp::MAX);
        let latest = until.checked_add(self.skew).unwrap_or(Timestamp::MAX);
        let stored = store.note(NOTE).await?;
        // A note that cannot be read is replaced: two holders do no harm.
        let other = stored
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(|note: &LeaseNote| note.holder != self.id)
            .filter(|note| now < note.until && note.until <= latest);
        if other.is_some() {
            return Ok(false);
        }
        let text = self.text(until);
        let keep = Expiry { now, until };
        let began = Instant::now();
        let put = store.put_note(NOTE, stored.as_deref(), &text, keep).await?;
        if put != CasResult::Done {
            return Ok(false);
        }
        self.held = Some((text, began));
        Ok(true)
    }

    /// Returns true while the lease need not be renewed.
    pub(super) fn is_fresh(&self) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|(_, began)| began.elapsed() < self.lasts / 2)
    }

    /// Releases the lease, so that another replica continues at once. A failure is ignored: the
    /// lease expires.
    pub(super) async fn release(&mut self, store: &dyn Store, now: Timestamp) {
        if let Some((held, _)) = self.held.take() {
            let keep = Expiry {
                now,
                until: IN_THE_PAST,
            };
            let _ = store
                .put_note(NOTE, Some(&held), &self.text(now), keep)
                .await;
        }
    }

    fn text(&self, until: Timestamp) -> String {
        let note = LeaseNote {
            holder: self.id,
            until,
        };
        serde_json::to_string(&note).unwrap_or_default()
    }
}
