//! The claim of an attempt, which grants the right to send it.

use std::sync::Arc;

use super::{commit::Commit, contract::Store, error::StoreError, notes::NoteTexts};
use crate::transaction::{Change, Transaction};

/// The right to send one attempt, once. Not `Clone`; only [`claim`] creates one, and
/// the purchase consumes it.
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

    /// Consumes the permit and returns its transaction.
    #[must_use]
    pub fn into_transaction(self) -> Arc<Transaction> {
        self.transaction
    }
}

/// The result of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The claim is stored: its caller may send the attempt.
    Won(SendPermit),
    /// The attempt is stored, quarantined: it must not be sent.
    Quarantined(Arc<Transaction>),
    /// The reference code is taken by this transaction.
    Taken(Arc<Transaction>),
    /// The store is in another epoch. Nothing was stored.
    OtherEpoch,
}

/// Commits an armed attempt in an epoch, and returns its permit.
///
/// Reads back by attempt token after an indeterminate result (promise 9).
///
/// # Errors
/// [`StoreError`] when the claim is not stored, or its result is indeterminate. Nothing was sent.
/// The caller must abandon the attempt.
pub async fn claim(store: &dyn Store, change: Change, epoch: &str) -> Result<Claim, StoreError> {
    let (claimed, _) = claim_and_read(store, change, epoch, &[]).await?;
    Ok(claimed)
}

/// Claims like [`claim`], and returns notes as they are after the claim was stored; `None` when they
/// were not read.
///
/// # Errors
/// As [`claim`].
pub async fn claim_and_read(
    store: &dyn Store,
    change: Change,
    epoch: &str,
    notes: &[String],
) -> Result<(Claim, Option<NoteTexts>), StoreError> {
    let committed = store.commit_and_read(&change, Some(epoch), notes).await;
    let (committed, texts) = match committed {
        Ok((committed, texts)) => (Ok(committed), texts),
        Err(error) => (Err(error), None),
    };
    let claimed = claimed(store, change, committed).await?;
    Ok((claimed, texts))
}

/// Returns the claim that the result of its commit stands for.
async fn claimed(
    store: &dyn Store,
    change: Change,
    committed: Result<Commit, StoreError>,
) -> Result<Claim, StoreError> {
    match committed {
        Ok(Commit::Done) => Ok(won(change)),
        Ok(Commit::OtherEpoch) => Ok(Claim::OtherEpoch),
        Ok(Commit::Conflict(Some(stored))) => won_or_taken(store, change, stored).await,
        Ok(Commit::Conflict(None)) => Err(StoreError::Unavailable(NOT_STORED.to_owned())),
        Err(error) if error.is_indeterminate() => read_back(store, change).await,
        // Stored, but not safe from a failover: a read-back would find it.
        Err(error @ StoreError::Unacknowledged(_)) => Err(error),
        Err(error) if error.is_transient() => {
            // This claim is not stored. The claim of another call may be, and is replayed.
            claimed_by_another(store, &change).await?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

const NOT_STORED: &str = "the claim was not stored";
const NOT_STORED_YET: &str =
    "the claim was not stored when it was read back; its commit may still be in flight";

/// Reads back a claim whose commit had an indeterminate result.
async fn read_back(store: &dyn Store, change: Change) -> Result<Claim, StoreError> {
    let indeterminate = |problem: &str| StoreError::Indeterminate(problem.to_owned());
    let loaded = store.load(&change.transaction.key()).await;
    // After a failed read-back, the result of the commit is still indeterminate.
    match loaded.map_err(StoreError::into_indeterminate)? {
        // SUBTLE: 1. the commit is in flight; 2. the read-back returns its base version; 3. the
        // commit arrives and succeeds. Only another version proves that it did not.
        Some(stored) if change.from == Some(stored.base()) => {
            Err(indeterminate("the result of the claim is indeterminate"))
        }
        Some(stored) => won_or_taken(store, change, stored).await,
        // The commit may still be in flight.
        None => Err(indeterminate(NOT_STORED_YET)),
    }
}

/// Returns the claim of another call, after a commit that wrote nothing. A store that cannot be read
/// for the moment shows none.
async fn claimed_by_another(
    store: &dyn Store,
    change: &Change,
) -> Result<Option<Claim>, StoreError> {
    let stored = match store.load(&change.transaction.key()).await {
        Err(error) if error.is_transient() => None,
        loaded => loaded?,
    };
    let is_other = |stored: &Arc<Transaction>| {
        stored.token() != change.transaction.token() && change.from != Some(stored.base())
    };
    Ok(stored.filter(is_other).map(Claim::Taken))
}

/// Compares the stored attempt token with the claim's own. A claim that is found like this is not
/// known to be acknowledged by the replicas, so that is waited for again.
async fn won_or_taken(
    store: &dyn Store,
    change: Change,
    stored: Arc<Transaction>,
) -> Result<Claim, StoreError> {
    let token = change.transaction.token();
    if stored.token() != token {
        return Ok(Claim::Taken(stored));
    }
    // This claim is stored: the reply was lost, or a client library sent the commit twice.
    let acknowledged = store.acknowledge(&stored.key(), token).await;
    if acknowledged.map_err(StoreError::into_indeterminate)? {
        Ok(won(change))
    } else {
        let problem = "the claim was stored, and is not any more".to_owned();
        Err(StoreError::Indeterminate(problem))
    }
}

fn won(change: Change) -> Claim {
    let transaction = change.transaction;
    if transaction.is_quarantined() {
        return Claim::Quarantined(transaction);
    }
    Claim::Won(SendPermit { transaction })
}
