//! The commit: one write transaction for record, event, listing and due indexes.

use redb::{ReadableTable, WriteTransaction};

use super::{
    due::set_due,
    error::failure,
    notes,
    store::RedbStore,
    tables::{EVENTS, LISTING, LOG, RECORDS},
    tombstones::tombstone_in,
};
use crate::{
    store::{Commit, StoreError, epoch::parts_of, listing, record},
    transaction::{Change, Transaction},
};

impl RedbStore {
    /// Commits a change by compare-and-set, and releases its lease.
    pub(super) async fn commit_change(
        &self,
        change: &Change,
        epoch: Option<&str>,
    ) -> Result<Commit, StoreError> {
        let named = epoch.map(parts_of);
        if named.is_some_and(|(epoch, _)| epoch != self.epoch) {
            return Ok(Commit::OtherEpoch);
        }
        let seal = named.map_or("", |(_, seal)| seal).to_owned();
        let name = change.transaction.key().to_string();
        let releases = change.releases;
        let body = record::encode(&change.transaction)?;
        let change = change.clone();
        let committed = self
            .write_bytes(2 * body.len(), move |write| {
                compare_and_save(write, &change, &body, &seal)
            })
            .await?;
        if let (Commit::Done, Some(lease)) = (&committed, releases) {
            self.leases.release(&name, lease);
        }
        Ok(committed)
    }
}

/// Saves a change if the stored version is its base version and, when `seal` is not empty, the
/// store carries that seal.
fn compare_and_save(
    write: &WriteTransaction,
    change: &Change,
    body: &[u8],
    seal: &str,
) -> Result<Commit, StoreError> {
    let is_sealed = || notes::read_seal(write).map(|stored| stored.as_deref() == Some(seal));
    if !seal.is_empty() && !is_sealed().map_err(failure)? {
        return Ok(Commit::OtherEpoch);
    }
    let key = change.transaction.key();
    let name = key.to_string();
    let stored = {
        let table = write.open_table(RECORDS).map_err(failure)?;
        let bytes = table.get(name.as_str()).map_err(failure)?;
        bytes
            .map(|bytes| record::decode(&key, bytes.value()))
            .transpose()?
    };
    if stored.is_none()
        && let Some(tombstone) = tombstone_in(write, &key)?
    {
        return Err(StoreError::Retired(tombstone));
    }
    if stored.as_ref().map(|stored| stored.base()) != change.from {
        return Ok(Commit::Conflict(stored));
    }
    save(write, &name, stored.as_deref(), change, body).map_err(failure)?;
    Ok(Commit::Done)
}

fn save(
    write: &WriteTransaction,
    key: &str,
    stored: Option<&Transaction>,
    change: &Change,
    body: &[u8],
) -> Result<(), redb::Error> {
    let transaction = &change.transaction;
    write.open_table(RECORDS)?.insert(key, body)?;
    if change.is_event {
        let revision = transaction.revision();
        write.open_table(EVENTS)?.insert((key, revision), body)?;
        let mut log = write.open_table(LOG)?;
        let number = log.last()?.map_or(0, |(number, _)| number.value()) + 1;
        log.insert(number, (key, revision))?;
    }
    let mut listing = write.open_table(LISTING)?;
    if let Some(stored) = stored {
        let (state, entry) = listing::entry_of(stored);
        listing.remove((state, entry.created_ms, key))?;
    }
    let (state, entry) = listing::entry_of(transaction);
    listing.insert((state, entry.created_ms, key), ())?;
    set_due(write, key, transaction)
}
