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
/// [`StoreError`] when it is not known whether the claim is stored. Nothing was
/// sent and nothing may be: the caller must have the attempt given up.
pub async fn claim(store: &dyn Store, change: Change, epoch: &str) -> Result<Claim, StoreError> {
    let ours = change.transaction.token();
    let (stored, is_indeterminate) = match store.commit(&change, Some(epoch)).await {
        Ok(Commit::Done) => return Ok(won(change)),
        Ok(Commit::OtherEpoch) => return Ok(Claim::OtherEpoch),
        Ok(Commit::Conflict(stored)) => (stored, false),
        Err(StoreError::Unavailable(_)) => (store.load(&change.transaction.key()).await?, true),
        Err(error) => return Err(error),
    };
    match stored {
        // SUBTLE: 1. the commit is on its way; 2. the version that it was made from is read
        // back; 3. the commit arrives, and fits. Only another version rules that out.
        Some(stored) if is_indeterminate && change.from == Some(stored.base()) => Err(
            StoreError::Unavailable("it is not known whether the claim is stored".to_owned()),
        ),
        // Stored after all: the reply was lost, or a client library sent it twice.
        Some(stored) if stored.token() == ours => Ok(won(change)),
        Some(stored) => Ok(Claim::Taken(stored)),
        None => Err(StoreError::Unavailable(
            "the claim was not stored".to_owned(),
        )),
    }
}

fn won(change: Change) -> Claim {
    let transaction = change.transaction;
    if transaction.is_held_back() {
        return Claim::Quarantined(transaction);
    }
    Claim::Won(SendPermit { transaction })
}
