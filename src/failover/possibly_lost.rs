//! Transactions loaded by key, where the store may have lost records.

use std::sync::Arc;

use jiff::Timestamp;

use super::{failover_guard::FailoverGuard, known_epoch::KnownEpoch};
use crate::{
    store::{RetiredState, StoreError, Tombstone},
    transaction::{State, Transaction, TransactionKey},
};

/// A transaction from a list of keys.
pub struct ListedTransaction {
    /// The key of the transaction.
    pub key: TransactionKey,
    /// Its record; `None` when it was never claimed, is about to be claimed, was lost, or has ended.
    pub record: Option<Arc<Transaction>>,
    /// The tombstone of a transaction that was retired.
    pub retired: Option<Tombstone>,
    /// The store may have lost its record.
    may_be_lost: bool,
}

impl ListedTransaction {
    /// Returns true while its outcome is, or may be, open: for a payment, while it may still pay
    /// its bill or may have paid it; for a sale, until it is settled.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.record {
            Some(record) => is_open(record),
            None => self.retired.is_none() && self.may_be_lost,
        }
    }

    /// Returns a time by which the gateway knew of its success; `None` when it did not succeed, or
    /// the success was reversed.
    #[must_use]
    pub fn succeeded_at(&self) -> Option<Timestamp> {
        match (&self.record, &self.retired) {
            (Some(record), _) => record.succeeded_at(),
            (None, Some(retired)) if retired.state == RetiredState::Succeeded => {
                Some(retired.changed_before())
            }
            (None, _) => None,
        }
    }

    /// Returns the reference code, spelled as in the record where there is one.
    #[must_use]
    pub fn reference_code(&self) -> String {
        match &self.record {
            Some(record) => record.reference_code().to_string(),
            None => self.key.to_string(),
        }
    }
}

/// Returns true while the outcome of a transaction is open.
#[must_use]
pub fn is_open(transaction: &Transaction) -> bool {
    let state = transaction.status().state;
    !state.is_settled() || matches!(state, State::NeedsReview { .. })
}

impl FailoverGuard {
    /// Loads the transactions of a list of keys. Observes the epoch where a record is missing.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn load_listed(
        &self,
        keys: &[TransactionKey],
    ) -> Result<Vec<ListedTransaction>, StoreError> {
        let load = async |key| match self.store.load(key).await {
            Err(StoreError::Retired(tombstone)) => Ok((None, Some(tombstone))),
            loaded => loaded.map(|record| (record, None)),
        };
        let records = futures::future::try_join_all(keys.iter().map(load)).await?;
        let is_missing =
            |(record, retired): &(Option<_>, Option<_>)| record.is_none() && retired.is_none();
        let epoch: Option<KnownEpoch> = if records.iter().any(is_missing) {
            Some(self.refresh().await?)
        } else {
            None
        };
        let listed = keys.iter().zip(records).map(|(key, (record, retired))| {
            let epoch = epoch.as_ref();
            ListedTransaction {
                key: key.clone(),
                may_be_lost: epoch.is_some_and(|epoch| self.may_be_lost(epoch, key)),
                record,
                retired,
            }
        });
        Ok(listed.collect())
    }
}
