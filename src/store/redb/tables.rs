//! The tables of the database.

use redb::{
    Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, Value, WriteTransaction,
};

use super::error::failure;
use crate::store::StoreError;

/// Key -> record.
pub(super) const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// (key, revision) -> record as of that revision.
pub(super) const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
/// (due time in Unix milliseconds, key).
pub(super) const DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due");
/// Key -> its due time, to find its entry in `DUE`.
pub(super) const DUE_OF: TableDefinition<'_, &str, i64> = TableDefinition::new("due_of");
/// (account, kind, time in Unix milliseconds, key).
pub(super) const INDEXED: TableDefinition<'_, (&str, u8, i64, &str), ()> =
    TableDefinition::new("due_by_account");
/// Key -> (account, due, requested), to find its entries in `INDEXED`.
pub(super) const INDEXED_OF: TableDefinition<'_, &str, (&str, i64, Option<i64>)> =
    TableDefinition::new("due_by_account_of");
/// account:trace code -> key.
pub(super) const TRACES: TableDefinition<'_, &str, &str> = TableDefinition::new("traces");
/// Number of the event, counted from 1 -> (key, revision).
pub(super) const LOG: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("log");
/// Number of its first event -> a segment of events (`segments.rs`).
pub(super) const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
/// (state, accepted in Unix milliseconds, key).
pub(super) const LISTING: TableDefinition<'_, (&str, i64, &str), ()> =
    TableDefinition::new("listing");
/// Fact -> value.
pub(super) const IDENTITY: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");
/// The number of verifications, under `count`; created by the first one.
pub(super) const VERIFIED: TableDefinition<'_, &str, u64> = TableDefinition::new("verified");
/// Name -> (text, expiry in Unix milliseconds).
pub(super) const NOTES: TableDefinition<'_, &str, (&str, i64)> = TableDefinition::new("notes");
/// A part of the hash of a reference -> tombstone.
pub(super) const TOMBSTONES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("tombstones");
/// (expiry, name).
pub(super) const NOTES_END: TableDefinition<'_, (i64, &str), ()> =
    TableDefinition::new("notes_end");
/// (list, number in order of arrival) -> item.
pub(super) const LISTS: TableDefinition<'_, (&str, u64), &str> = TableDefinition::new("lists");

/// Creates every table that reads rely on.
pub(super) fn create_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(RECORDS)?;
    write.open_table(EVENTS)?;
    write.open_table(DUE)?;
    write.open_table(DUE_OF)?;
    write.open_table(INDEXED)?;
    write.open_table(INDEXED_OF)?;
    write.open_table(TRACES)?;
    write.open_table(LOG)?;
    write.open_table(SEGMENTS)?;
    write.open_table(LISTING)?;
    write.open_table(IDENTITY)?;
    write.open_table(NOTES)?;
    write.open_table(NOTES_END)?;
    write.open_table(LISTS)?;
    write.open_table(TOMBSTONES)?;
    Ok(())
}

/// Opens a table; `None` when the file of an earlier release, opened read-only, lacks it.
pub(super) fn open_if_there<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match read.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}
