//! Tombstones, by a part of the hash of their reference codes, and the retirement that writes them.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use sha2::{Digest, Sha256};

use super::{
    due::clear_due,
    error::failure,
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{EVENTS, LISTING, RECORDS, TOMBSTONES, open_if_there},
};
use crate::{
    store::{
        Retirement, StoreError, SweptTombstones, Tombstone, listing,
        record::Codec,
        tombstone_form::{self, HASH_BYTES},
    },
    transaction::{BaseVersion, Transaction, TransactionKey},
};

/// The number of tombstones that one sweep reads.
const SWEPT_AT_ONCE: usize = 256;

impl RedbStore {
    /// Retires a record by compare-and-delete, in one write transaction.
    pub(super) async fn retire_record(
        &self,
        last: &Transaction,
        tombstone: Option<&Tombstone>,
    ) -> Result<Retirement, StoreError> {
        let (key, base) = (last.key(), last.base());
        let tombstone = tombstone.map(tombstone_form::encode);
        let codec = Arc::clone(&self.codec);
        self.write(move |write| retire(write, &codec, &key, base, tombstone.as_deref()))
            .await
    }

    /// Removes the ended tombstones among the next ones. The place to continue at is the last hash
    /// that was read, in hexadecimal digits.
    pub(super) async fn sweep_table(
        &self,
        before_day: i64,
        from: Option<&str>,
    ) -> Result<SweptTombstones, StoreError> {
        let from = from.and_then(|from| hex::decode(from).ok());
        let (ended, next) = self.read(move |read| ended(read, before_day, from)).await?;
        if ended.is_empty() {
            return Ok(SweptTombstones { removed: 0, next });
        }
        let removed = self.write(move |write| remove(write, &ended, before_day));
        Ok(SweptTombstones {
            removed: removed.await?,
            next,
        })
    }
}

/// Reads the tombstone of a transaction that has no record.
pub(super) fn read_tombstone(
    read: &ReadTransaction,
    key: &TransactionKey,
) -> Result<Option<Tombstone>, StoreError> {
    match open_if_there(read, TOMBSTONES)? {
        Some(table) => find(&table, key),
        None => Ok(None),
    }
}

/// Reads the tombstone of a transaction that has no record, in a write transaction.
pub(super) fn tombstone_in(
    write: &WriteTransaction,
    key: &TransactionKey,
) -> Result<Option<Tombstone>, StoreError> {
    find(&write.open_table(TOMBSTONES).map_err(failure)?, key)
}

fn find(
    table: &impl ReadableTable<&'static [u8], &'static str>,
    key: &TransactionKey,
) -> Result<Option<Tombstone>, StoreError> {
    let text = table.get(hash_of(key).as_slice()).map_err(failure)?;
    text.map(|text| tombstone_form::decode(key, text.value()))
        .transpose()
}

fn hash_of(key: &TransactionKey) -> Vec<u8> {
    Sha256::digest(key.as_str())[..HASH_BYTES].to_vec()
}

fn retire(
    write: &WriteTransaction,
    codec: &Codec,
    key: &TransactionKey,
    base: BaseVersion,
    tombstone: Option<&str>,
) -> Result<Retirement, StoreError> {
    let stored = {
        let table = write.open_table(RECORDS).map_err(failure)?;
        let row = table.get(key.as_str()).map_err(failure)?;
        let stored = row.map(|row| codec.decode_record(key, StoredRecord::read(row.value()).body));
        stored.transpose()?
    };
    let Some(stored) = stored.filter(|stored| stored.base() == base) else {
        return Ok(Retirement::Conflict);
    };
    delete(write, key, &stored, tombstone).map_err(failure)?;
    Ok(Retirement::Done)
}

/// Deletes a record with its entries, and inserts its tombstone. Its events of schema 3
/// go too: a transaction that begins anew under the reference code counts its revisions from 1, and
/// would mix with them. A cursor before a deleted event is out of range. Those in segments stay until
/// they are trimmed: the chain of a new record does not lead to them.
fn delete(
    write: &WriteTransaction,
    key: &TransactionKey,
    stored: &Transaction,
    tombstone: Option<&str>,
) -> Result<(), redb::Error> {
    let name = key.as_str();
    write.open_table(RECORDS)?.remove(name)?;
    let mut events = write.open_table(EVENTS)?;
    events.retain_in((name, 0)..=(name, u64::MAX), |_, _| false)?;
    let (state, entry) = listing::entry_of(stored);
    let mut listing = write.open_table(LISTING)?;
    listing.remove((state, entry.created_ms, name))?;
    clear_due(write, name)?;
    if let Some(tombstone) = tombstone {
        let mut tombstones = write.open_table(TOMBSTONES)?;
        tombstones.insert(hash_of(key).as_slice(), tombstone)?;
    }
    Ok(())
}

/// The hashes of ended tombstones, and the place to continue at.
type Ended = (Vec<Vec<u8>>, Option<String>);

/// Returns the ended ones of the next tombstones.
fn ended(
    read: &ReadTransaction,
    before_day: i64,
    from: Option<Vec<u8>>,
) -> Result<Ended, StoreError> {
    let table = read.open_table(TOMBSTONES).map_err(failure)?;
    let from = from.unwrap_or_default();
    let (mut ended, mut last, mut seen) = (Vec::new(), None, 0);
    let range = table.range(from.as_slice()..).map_err(failure)?;
    for entry in range.take(SWEPT_AT_ONCE) {
        let (hash, text) = entry.map_err(failure)?;
        if has_ended(text.value(), before_day) {
            ended.push(hash.value().to_vec());
        }
        last = Some(hash.value().to_vec());
        seen += 1;
    }
    // One byte more than the last hash, which sorts right after it.
    let next = last.filter(|_| seen == SWEPT_AT_ONCE);
    let next = next.map(|last| hex::encode([last.as_slice(), &[0]].concat()));
    Ok((ended, next))
}

/// Removes tombstones that still are ended: one of them may belong to a later transaction by now.
fn remove(write: &WriteTransaction, ended: &[Vec<u8>], before_day: i64) -> Result<u64, StoreError> {
    let mut table = write.open_table(TOMBSTONES).map_err(failure)?;
    let mut removed = 0;
    for hash in ended {
        let text = table.get(hash.as_slice()).map_err(failure)?;
        let is_ended = text.is_some_and(|text| has_ended(text.value(), before_day));
        if is_ended {
            table.remove(hash.as_slice()).map_err(failure)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Returns true when a tombstone has ended. One that cannot be read has not: its reference code must
/// not be sent again.
fn has_ended(text: &str, before_day: i64) -> bool {
    tombstone_form::parse(text).is_some_and(|tombstone| tombstone.changed_on < before_day)
}
