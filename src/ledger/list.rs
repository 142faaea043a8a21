//! Lists of transactions by state and time, newest first.

use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;

use crate::{
    ledger::records::Ledger,
    store::{Listing, ListingEntry, StoreError},
    transaction::{AccountName, State, Transaction},
};

/// The criteria and the position of a listing.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The states to list, by [`State::name`]; empty for all.
    pub states: Vec<&'static str>,
    /// The accounts to list; empty for all.
    pub accounts: Vec<AccountName>,
    /// The earliest time of acceptance, inclusive.
    pub from: Option<Timestamp>,
    /// The latest time of acceptance, exclusive.
    pub to: Option<Timestamp>,
    /// The largest number of transactions to return.
    pub page_size: usize,
    /// The entry after which the page begins.
    pub after: Option<ListingEntry>,
}

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The transactions, newest first.
    pub transactions: Vec<Arc<Transaction>>,
    /// The entry after which the next page begins; `None` at the end.
    pub next: Option<ListingEntry>,
}

/// The most reads for one page, when most entries belong to other accounts.
const READS_PER_PAGE_MAX: usize = 16;

impl Ledger {
    /// Returns one page of a listing. A transaction whose state changes meanwhile may be missing;
    /// it is never returned in a state that it has left.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        let states = if query.states.is_empty() {
            &State::NAMES[..]
        } else {
            &query.states
        };
        let wanted = |transaction: &Transaction| {
            let is_account = |account| self.accounts.is_meant(transaction.account(), Some(account));
            states.contains(&transaction.status().state.name())
                && (query.accounts.is_empty() || query.accounts.iter().any(is_account))
        };
        let to_ms = query
            .to
            .map_or(ListingEntry::MS_MAX, Timestamp::as_millisecond);
        let mut after = query.after.clone().unwrap_or(ListingEntry {
            created_ms: to_ms.clamp(0, ListingEntry::MS_MAX),
            name: String::new(),
        });
        let mut transactions: Vec<Arc<Transaction>> = Vec::new();
        for _ in 0..READS_PER_PAGE_MAX {
            let found = self.newest(states, query, &after).await?;
            let is_end = found.len() < query.page_size;
            let loads = found
                .iter()
                .map(async |entry| self.store.load(&entry.key()?).await);
            let loaded = try_join_all(loads).await?;
            for (entry, loaded) in found.into_iter().zip(loaded) {
                after = entry;
                if let Some(transaction) = loaded.filter(|loaded| wanted(loaded)) {
                    transactions.push(transaction);
                }
                if transactions.len() == query.page_size {
                    return Ok(Page {
                        transactions,
                        next: Some(after),
                    });
                }
            }
            if is_end {
                return Ok(Page {
                    transactions,
                    next: None,
                });
            }
        }
        Ok(Page {
            transactions,
            next: Some(after),
        })
    }

    /// Returns the newest entries of these states after `after`, each transaction once.
    async fn newest(
        &self,
        states: &[&'static str],
        query: &ListQuery,
        after: &ListingEntry,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let of_state = |state: &&'static str| {
            let listing = Listing {
                state,
                from: query.from.unwrap_or(Timestamp::UNIX_EPOCH),
                after: after.clone(),
                limit: query.page_size,
            };
            async move { self.store.list(&listing).await }
        };
        let found = try_join_all(states.iter().map(of_state)).await?;
        let mut found: Vec<ListingEntry> = found.into_iter().flatten().collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.dedup();
        found.truncate(query.page_size);
        Ok(found)
    }
}
