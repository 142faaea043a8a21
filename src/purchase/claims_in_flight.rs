//! The reference codes whose claims are in flight in this process. A claim may be stored, and sent,
//! after its caller's deadline has passed. Until the claim ends, no response may state that nothing
//! was sent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::transaction::TransactionKey;

/// The number of claims in flight for each reference code.
#[derive(Clone, Default)]
pub struct ClaimsInFlight(Arc<Mutex<BTreeMap<TransactionKey, usize>>>);

/// A claim in flight; it ends when this is dropped.
pub(super) struct ClaimInFlight {
    claims: ClaimsInFlight,
    key: TransactionKey,
}

impl ClaimsInFlight {
    /// Begins a claim.
    pub(super) fn begin(&self, key: TransactionKey) -> ClaimInFlight {
        *self.counts().entry(key.clone()).or_default() += 1;
        let claims = self.clone();
        ClaimInFlight { claims, key }
    }

    /// Returns true while a claim of the reference code is in flight. Call it before reading the
    /// store, so that a claim that ends in between is found there.
    pub(super) fn contains(&self, key: &TransactionKey) -> bool {
        self.counts().contains_key(key)
    }

    /// Returns true while another claim than the caller's own is in flight.
    pub(super) fn is_contended(&self, key: &TransactionKey) -> bool {
        self.counts().get(key).is_some_and(|count| *count > 1)
    }

    /// Locks the counts.
    fn counts(&self) -> MutexGuard<'_, BTreeMap<TransactionKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClaimInFlight {
    fn drop(&mut self) {
        let mut counts = self.claims.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
