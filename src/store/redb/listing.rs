//! The listing: one table, ordered by state, time and key.

use std::ops::Bound;

use redb::{AccessGuard, StorageError};

use super::{error::failure, store::RedbStore, tables::LISTING};
use crate::store::{Listing, ListingEntry, OldestListing, StoreError};

/// An entry of the table as redb returns it.
type StoredEntry<'a> = (
    AccessGuard<'a, (&'static str, i64, &'static str)>,
    AccessGuard<'a, ()>,
);

impl RedbStore {
    /// Reads the newest entries of one state.
    pub(super) async fn read_listing(
        &self,
        listing: &Listing,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let listing = listing.clone();
        self.read(move |read| {
            let table = read.open_table(LISTING).map_err(failure)?;
            let from = (listing.state, listing.from.as_millisecond(), "");
            let after = &listing.after;
            let to = (listing.state, after.created_ms, after.name.as_str());
            if from >= to {
                return Ok(Vec::new());
            }
            let range = table.range(from..to).map_err(failure)?;
            range.rev().take(listing.limit).map(read_entry).collect()
        })
        .await
    }

    /// Reads the oldest entries of one state.
    pub(super) async fn read_oldest(
        &self,
        listing: &OldestListing,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let listing = listing.clone();
        self.read(move |read| {
            let table = read.open_table(LISTING).map_err(failure)?;
            let from = match &listing.after {
                Some(after) => (listing.state, after.created_ms, after.name.as_str()),
                None => (listing.state, i64::MIN, ""),
            };
            let to = (listing.state, listing.to.as_millisecond(), "");
            if from >= to {
                return Ok(Vec::new());
            }
            let bounds = (Bound::Excluded(from), Bound::Excluded(to));
            let range = table.range::<(&str, i64, &str)>(bounds).map_err(failure)?;
            range.take(listing.limit).map(read_entry).collect()
        })
        .await
    }

    /// Counts the entries of one state that were accepted in a time range.
    pub(super) async fn count_listing(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        if from_ms >= to_ms {
            return Ok(0);
        }
        self.read(move |read| {
            let table = read.open_table(LISTING).map_err(failure)?;
            let found = table
                .range((state, from_ms, "")..(state, to_ms, ""))
                .map_err(failure)?;
            Ok(found.count() as u64)
        })
        .await
    }
}

/// Reads one entry of the table.
fn read_entry(entry: Result<StoredEntry<'_>, StorageError>) -> Result<ListingEntry, StoreError> {
    let (entry, _) = entry.map_err(failure)?;
    let (_, created_ms, name) = entry.value();
    let name = name.to_owned();
    Ok(ListingEntry { created_ms, name })
}
