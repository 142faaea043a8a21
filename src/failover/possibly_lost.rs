//! Transactions loaded by key, where the store may have lost records.

use std::sync::Arc;

use super::{failover_guard::FailoverGuard, known_epoch::KnownEpoch};
use crate::{
    store::StoreError,
    transaction::{State, Transaction, TransactionKey},
};

/// A transaction from a list of keys.
pub struct ListedTransaction {
    /// The key of the transaction.
    pub key: TransactionKey,
    /// Its record; `None` when it was never claimed, is about to be claimed, or was lost.
    pub record: Option<Arc<Transaction>>,
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
            None => self.may_be_lost,
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
        let records = keys.iter().map(|key| self.store.load(key));
        let records = futures::future::try_join_all(records).await?;
        let epoch: Option<KnownEpoch> = if records.iter().any(Option::is_none) {
            Some(self.refresh().await?)
        } else {
            None
        };
        let listed = keys.iter().zip(records).map(|(key, record)| {
            let epoch = epoch.as_ref();
            ListedTransaction {
                key: key.clone(),
                may_be_lost: epoch.is_some_and(|epoch| self.may_be_lost(epoch, key)),
                record,
            }
        });
        Ok(listed.collect())
    }
}
