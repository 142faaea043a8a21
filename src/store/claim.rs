//! The claim of an attempt, and the right to send that it gains.

use std::sync::Arc;

use super::{commit::Commit, contract::Store, error::StoreError};
use crate::transaction::{Change, Transaction};

/// The right to send one attempt, once. Not `Clone`; only [`claim`] makes one, and the
/// purchase consumes it.
#[derive(Debug)]
pub struct SendPermit {
    transaction: Arc<Transaction>,
}

impl SendPermit {
    /// Returns the transaction that may be sent.
    #[must_use]
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// Consumes the permit.
    #[must_use]
    pub fn into_transaction(self) -> Arc<Transaction> {
        self.transaction
    }
}

/// The result of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The attempt is ours to send.
    Won(SendPermit),
    /// The attempt is stored, quarantined: it must not be sent.
    Quarantined(Arc<Transaction>),
    /// The reference code is taken by this transaction.
    Taken(Arc<Transaction>),
    /// The store has another epoch than the caller knows: nothing is stored.
    OtherEpoch,
}

/// Stores an armed attempt in a replication epoch, and gains the right to send it.
///
/// Reads back by attempt token after an indeterminate result (promise 9).
///
/// # Errors
/// [`StoreError`] when the claim is not stored, or when that is unknown. Nothing was sent and
/// nothing may be: the caller must have the attempt given up.
pub async fn claim(store: &dyn Store, change: Change, epoch: &str) -> Result<Claim, StoreError> {
    match store.commit(&change, Some(epoch)).await {
        Ok(Commit::Done) => Ok(won(change)),
        Ok(Commit::OtherEpoch) => Ok(Claim::OtherEpoch),
        Ok(Commit::Conflict(Some(stored))) => Ok(won_or_taken(change, stored)),
        Ok(Commit::Conflict(None)) => Err(StoreError::Unavailable(NOT_STORED.to_owned())),
        Err(error) if error.is_indeterminate() => read_back(store, change).await,
        Err(error) if error.is_transient() => {
            // The claim is not stored. Another call may have claimed before it, and is replayed.
            claimed_by_another(store, &change).await.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

const NOT_STORED: &str = "the claim was not stored";

/// Finds out whether a claim is stored whose commit had an indeterminate result.
async fn read_back(store: &dyn Store, change: Change) -> Result<Claim, StoreError> {
    let unknown = |problem: &str| StoreError::Indeterminate(problem.to_owned());
    let loaded = store.load(&change.transaction.key()).await;
    // A read that failed leaves the result of the commit as unknown as it was.
    match loaded.map_err(StoreError::into_indeterminate)? {
        // SUBTLE: 1. the commit is on its way; 2. the version that it was made from is read
        // back; 3. the commit arrives, and fits. Only another version rules that out.
        Some(stored) if change.from == Some(stored.base()) => {
            Err(unknown("it is not known whether the claim is stored"))
        }
        Some(stored) => Ok(won_or_taken(change, stored)),
        // The commit may still arrive, and fit.
        None => Err(unknown(NOT_STORED)),
    }
}

/// Returns the claim of another call that the store holds instead of a claim that it refused.
async fn claimed_by_another(store: &dyn Store, change: &Change) -> Option<Claim> {
    let loaded = store.load(&change.transaction.key()).await;
    let stored = loaded.ok().flatten()?;
    let is_other = stored.token() != change.transaction.token();
    let has_changed = change.from != Some(stored.base());
    (is_other && has_changed).then_some(Claim::Taken(stored))
}

/// Compares the stored attempt token with the claim's own.
fn won_or_taken(change: Change, stored: Arc<Transaction>) -> Claim {
    // Ours is stored after all: the reply was lost, or a client library sent the commit twice.
    if stored.token() == change.transaction.token() {
        won(change)
    } else {
        Claim::Taken(stored)
    }
}

fn won(change: Change) -> Claim {
    let transaction = change.transaction;
    if transaction.is_quarantined() {
        return Claim::Quarantined(transaction);
    }
    Claim::Won(SendPermit { transaction })
}
