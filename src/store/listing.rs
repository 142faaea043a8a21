//! The listing: an index of the transactions of each state.

use jiff::Timestamp;

use super::{error::StoreError, key};
use crate::transaction::{Transaction, TransactionKey};

/// A query for the newest transactions in one state.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The state, by [`crate::transaction::State::name`].
    pub state: &'static str,
    /// Only transactions accepted at this time or later.
    pub from: Timestamp,
    /// Only entries after this one, in the order of the listing: newest first.
    pub after: ListingEntry,
    /// The maximum number of entries to return.
    pub limit: usize,
}

/// A query for the oldest transactions of one state in one partition.
#[derive(Debug, Clone)]
pub struct OldestListing {
    /// The partition, as [`crate::store::Store::partition_of`] gives it.
    pub partition: usize,
    /// The state, by [`crate::transaction::State::name`].
    pub state: &'static str,
    /// Only entries after this one, oldest first; `None` for the first ones.
    pub after: Option<ListingEntry>,
    /// Only transactions accepted before this time.
    pub to: Timestamp,
    /// The maximum number of entries to return.
    pub limit: usize,
}

/// One entry of the listing. Greater is newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListingEntry {
    /// The time at which it was accepted, in Unix milliseconds.
    pub created_ms: i64,
    /// The key of the transaction, as stored; any other text is a bound of a query.
    pub name: String,
}

impl ListingEntry {
    /// A time after every transaction: the greatest one with 13 digits, in 2286.
    pub const MS_MAX: i64 = 9_999_999_999_999;

    /// Returns the transaction of an entry that a store listed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its name is not a key.
    pub fn key(&self) -> Result<TransactionKey, StoreError> {
        key::parse_key(&self.name)
    }
}

/// Returns the entry of a transaction, and the state under which it is listed.
pub(super) fn entry_of(transaction: &Transaction) -> (&'static str, ListingEntry) {
    let entry = ListingEntry {
        created_ms: transaction.created_at().as_millisecond(),
        name: transaction.key().to_string(),
    };
    (transaction.status().state.name(), entry)
}
