//! Lists of transactions by their contents, state and times, newest first.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    ledger::records::Ledger,
    store::{Cursor, Listing, ListingEntry, StoreError},
    transaction::{
        AccountName, AccountNumber, Labels, ProductCode, State, Transaction, TransactionStatus,
    },
};

/// The criteria and the position of a listing. A transaction is listed if it matches every
/// criterion.
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
    /// The product codes to list; empty for all.
    pub product_codes: Vec<ProductCode>,
    /// The account number to list.
    pub account_number: Option<AccountNumber>,
    /// The labels that a listed transaction has.
    pub labels: Labels,
    /// The earliest time of the latest revision, inclusive.
    pub updated_from: Option<Timestamp>,
    /// The latest time of the latest revision, exclusive.
    pub updated_to: Option<Timestamp>,
    /// The largest number of transactions to return.
    pub page_size: usize,
    /// The entry after which the page begins.
    pub after: Option<ListingEntry>,
}

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The transactions, newest first.
    pub transactions: Vec<FoundTransaction>,
    /// The entry after which the next page begins; `None` at the end.
    pub next: Option<ListingEntry>,
    /// In the first page: a cursor before every change that the listing may have missed.
    pub head: Option<Cursor>,
}

/// A transaction of a page.
#[derive(Debug)]
pub struct FoundTransaction {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its entry, after which a page that ends with it continues.
    pub entry: ListingEntry,
}

/// The most reads for one page, when the criteria exclude most entries.
const READS_PER_PAGE_MAX: usize = 16;
/// The longest time of the reads of one page: a caller whose deadline is short must receive the token
/// of what was passed, or its next call would pass the same entries again.
const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// The most entries of one read.
const READ_SIZE_MAX: usize = 200;

impl Ledger {
    /// Returns one page of a listing, of the transactions whose status `is_wanted` accepts. A
    /// transaction whose state changes meanwhile may be missing; it is never returned in a state
    /// that it has left.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn list(
        &self,
        query: &ListQuery,
        is_wanted: impl Fn(&TransactionStatus) -> bool + Send + Sync,
    ) -> Result<Page, StoreError> {
        // SUBTLE: the head is read before the first entry. Read afterwards, it would lose a change:
        //
        // 1. the listing reads the state that a transaction is about to enter, and does not find it;
        // 2. the transaction changes its state, which is an event;
        // 3. the listing reads the state that it has left, and does not find it either;
        // 4. the head is read after that event: neither the list nor the watch shows the transaction.
        let head = match query.after {
            None => Some(self.store.events_head().await?),
            Some(_) => None,
        };
        let (transactions, next) = self.scan(query, is_wanted).await?;
        Ok(Page {
            transactions,
            next,
            head,
        })
    }

    /// Reads entries until the page is full, the listing ends, or enough was read. A read that
    /// does not fill the page is followed by a longer one: the criteria exclude many entries.
    async fn scan(
        &self,
        query: &ListQuery,
        is_wanted: impl Fn(&TransactionStatus) -> bool,
    ) -> Result<(Vec<FoundTransaction>, Option<ListingEntry>), StoreError> {
        let states = if query.states.is_empty() {
            &State::NAMES[..]
        } else {
            &query.states
        };
        let is_listed = |found: &Arc<Transaction>| {
            let now = found.status();
            states.contains(&now.state.name()) && is_wanted(&now) && self.matches(query, found)
        };
        let to_ms = query
            .to
            .map_or(ListingEntry::MS_MAX, Timestamp::as_millisecond);
        let mut after = query.after.clone().unwrap_or(ListingEntry {
            created_ms: to_ms.clamp(0, ListingEntry::MS_MAX),
            name: String::new(),
        });
        let (mut listed, mut limit) = (Vec::new(), query.page_size.min(READ_SIZE_MAX));
        let began = Instant::now();
        for read in 0..READS_PER_PAGE_MAX {
            if read > 0 && began.elapsed() > READ_TIME_MAX {
                break;
            }
            let found = self.newest(states, query, &after, limit).await?;
            let is_end = found.len() < limit;
            let loads =
                found
                    .iter()
                    .map(async |entry| match self.store.load(&entry.key()?).await {
                        // Retired since it was listed.
                        Err(StoreError::Retired(_)) => Ok(None),
                        loaded => loaded,
                    });
            let loaded = try_join_all(loads).await?;
            for (entry, loaded) in found.into_iter().zip(loaded) {
                after = entry.clone();
                if let Some(transaction) = loaded.filter(is_listed) {
                    listed.push(FoundTransaction { transaction, entry });
                }
                if listed.len() == query.page_size {
                    return Ok((listed, Some(after)));
                }
            }
            if is_end {
                return Ok((listed, None));
            }
            limit = limit.saturating_mul(2).min(READ_SIZE_MAX);
        }
        Ok((listed, Some(after)))
    }

    /// Returns true when a transaction matches the criteria besides its state and its time of
    /// acceptance, which the index has.
    fn matches(&self, query: &ListQuery, transaction: &Transaction) -> bool {
        let order = transaction.order();
        let updated = transaction.updated_at();
        let is_account = |account| self.accounts.is_meant(transaction.account(), Some(account));
        let is_number = |number: &AccountNumber| order.account_number == *number;
        (query.accounts.is_empty() || query.accounts.iter().any(is_account))
            && (query.product_codes.is_empty() || query.product_codes.contains(&order.product_code))
            && query.account_number.as_ref().is_none_or(is_number)
            && query.updated_from.is_none_or(|from| updated >= from)
            && query.updated_to.is_none_or(|to| updated < to)
            && transaction.labels().include(&query.labels)
    }

    /// Returns the newest entries of these states after `after`, each transaction once.
    async fn newest(
        &self,
        states: &[&'static str],
        query: &ListQuery,
        after: &ListingEntry,
        limit: usize,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let of_state = |state: &&'static str| {
            let listing = Listing {
                state,
                from: query.from.unwrap_or(Timestamp::UNIX_EPOCH),
                after: after.clone(),
                limit,
            };
            async move { self.store.list(&listing).await }
        };
        let found = try_join_all(states.iter().map(of_state)).await?;
        let mut found: Vec<ListingEntry> = found.into_iter().flatten().collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }
}
