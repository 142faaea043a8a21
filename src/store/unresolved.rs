//! The transactions whose outcome is open, by account: an index for listing has states and
//! times only, so each record is read.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use jiff::Timestamp;

use super::{Listed, Listing, Store, StoreError};
use crate::transaction::AccountName;

/// The states in which money may be spent and nobody knows, by
/// [`crate::transaction::State::name`].
pub const UNRESOLVED: [&str; 4] = ["SENDING", "PENDING", "CONFIRMING", "NEEDS_REVIEW"];

/// How many entries of the index are read at a time: each reading costs as much on every
/// partition.
const ENTRIES: usize = 4096;
/// How many records are read at once.
const RECORDS: usize = 64;

/// The number of transactions in each state of [`UNRESOLVED`].
pub type PerState = [u64; UNRESOLVED.len()];

/// Counts the transactions whose outcome is open, by the account name of their records. A
/// transaction that changes its state meanwhile may be missing.
///
/// # Errors
/// [`StoreError`] when the store does not answer, or a record cannot be read.
pub async fn by_account(store: &dyn Store) -> Result<BTreeMap<AccountName, PerState>, StoreError> {
    let mut counts: BTreeMap<AccountName, PerState> = BTreeMap::new();
    for (index, state) in UNRESOLVED.into_iter().enumerate() {
        let mut after = Listed {
            created_ms: Listed::MS_MAX,
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
                    .map(async |entry| store.load(&entry.key()?).await);
                for transaction in try_join_all(loads).await?.into_iter().flatten() {
                    if transaction.standing().state.name() == state {
                        let account = transaction.account().clone();
                        counts.entry(account).or_default()[index] += 1;
                    }
                }
            }
            match found.into_iter().last() {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(counts)
}
