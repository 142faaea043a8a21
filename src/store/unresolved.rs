//! The transactions whose outcome is open, by account. The listing index has states and times
//! only, so each record is read.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::Timestamp;
use tracing::warn;

use super::{Listing, ListingEntry, Store, StoreError};
use crate::transaction::AccountName;

/// The states in which money may be spent while the outcome is unknown, by
/// [`crate::transaction::State::name`].
pub const UNRESOLVED: [&str; 4] = ["SENDING", "PENDING", "CONFIRMING", "NEEDS_REVIEW"];

/// The number of index entries in one read. Every read has a fixed cost on each partition.
const ENTRIES: usize = 4096;
/// The number of records that are loaded concurrently.
const RECORDS: usize = 64;

/// The number of transactions in each state of [`UNRESOLVED`].
pub type PerState = [u64; UNRESOLVED.len()];

/// The transactions whose outcome is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// Their number by the account name of their records.
    pub by_account: BTreeMap<AccountName, PerState>,
    /// The reference codes of those whose records cannot be read: their account is unknown.
    pub unreadable: BTreeSet<String>,
}

/// Counts the transactions whose outcome is open. A transaction whose state changes during the
/// count may be missing. An unreadable record is logged, and the count continues.
///
/// # Errors
/// [`StoreError`] when the store does not respond.
pub async fn count(store: &dyn Store) -> Result<Unresolved, StoreError> {
    let mut counted = Unresolved::default();
    for (index, state) in UNRESOLVED.into_iter().enumerate() {
        let mut after = ListingEntry {
            created_ms: ListingEntry::MS_MAX,
            name: String::new(),
        };
        loop {
            let listing = Listing {
                state,
                from: Timestamp::UNIX_EPOCH,
                after: after.clone(),
                limit: ENTRIES,
            };
            let found = store.list(&listing).await?;
            for entries in found.chunks(RECORDS) {
                let loads = entries
                    .iter()
                    .map(async |entry| (entry, load(store, entry).await));
                for (entry, loaded) in join_all(loads).await {
                    match loaded {
                        Ok(Some((account, now))) if now == state => {
                            counted.by_account.entry(account).or_default()[index] += 1;
                        }
                        Ok(_) => {}
                        Err(error) if error.is_of_record() => {
                            if counted.unreadable.insert(entry.name.clone()) {
                                warn!(
                                    key = entry.name, %error,
                                    "open transaction unreadable; not counted for its account"
                                );
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            match found.into_iter().last() {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(counted)
}

/// Reads the account and the state of an entry of the index.
async fn load(
    store: &dyn Store,
    entry: &ListingEntry,
) -> Result<Option<(AccountName, &'static str)>, StoreError> {
    let transaction = match store.load(&entry.key()?).await {
        // Settled and retired since it was listed.
        Err(StoreError::Retired(_)) => None,
        loaded => loaded?,
    };
    Ok(transaction.map(|transaction| {
        let account = transaction.account().clone();
        (account, transaction.status().state.name())
    }))
}
