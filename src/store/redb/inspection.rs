//! What an operator's command reads and writes beside the contract.

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, TableHandle};

use super::{
    error::failure,
    identity::{read_facts, read_identity, write_identity},
    store::RedbStore,
    tables::{DUE_OF, IDENTITY, LISTING, LOG, SEGMENTS, TOMBSTONES, open_if_there},
};
use crate::{
    store::{Cursor, IndexEntries, PartSize, StoreError, StoreSizes, identity::Facts, listing},
    transaction::Transaction,
};

impl RedbStore {
    /// Reads the entries of a transaction in the indexes.
    pub(in crate::store) async fn read_index_entries(
        &self,
        transaction: &Transaction,
    ) -> Result<IndexEntries, StoreError> {
        let key = transaction.key();
        let (state, entry) = listing::entry_of(transaction);
        self.read(move |read| {
            let name = key.as_str();
            let listing = read.open_table(LISTING).map_err(failure)?;
            let listed = listing.get((state, entry.created_ms, name));
            let due_of = read.open_table(DUE_OF).map_err(failure)?;
            Ok(IndexEntries {
                is_listed: listed.map_err(failure)?.is_some(),
                is_due: due_of.get(name).map_err(failure)?.is_some(),
            })
        })
        .await
    }

    /// Returns the cursor before the oldest event.
    pub(in crate::store) async fn events_start(&self) -> Result<Cursor, StoreError> {
        let mut cursor = self.read_head().await?;
        let first = self.read(|read| {
            // Those of schema 3 are older than those in segments.
            let log = read.open_table(LOG).map_err(failure)?;
            let first = log.first().map_err(failure)?;
            let first = first.map(|(number, _)| number.value());
            let segments = open_if_there(read, SEGMENTS)?;
            let segment = segments.as_ref().map(ReadableTable::first).transpose();
            let segment = segment.map_err(failure)?.flatten();
            Ok(first.or(segment.map(|(number, _)| number.value())))
        });
        if let (Some(first), [position]) = (first.await?, cursor.positions.as_mut_slice()) {
            position.number = first.saturating_sub(1);
        }
        Ok(cursor)
    }

    /// Reads the sizes of the tables.
    pub(in crate::store) async fn read_sizes(&self) -> Result<StoreSizes, StoreError> {
        self.read(|read| {
            let parts = table_sizes(read).map_err(failure)?;
            let total_bytes = parts.iter().map(|part| part.bytes).sum();
            Ok(StoreSizes { total_bytes, parts })
        })
        .await
    }

    /// Reads the facts of the identity.
    pub(in crate::store) async fn facts(&self) -> Result<Facts, StoreError> {
        self.read(|read| {
            let table = read.open_table(IDENTITY).map_err(failure)?;
            read_facts(&table).map_err(failure)
        })
        .await
    }

    /// Writes the facts that `amend` derives from the stored ones, and returns its result.
    pub(in crate::store) async fn amend_facts<T: Send + 'static>(
        &self,
        amend: impl Fn(&Facts) -> Result<(T, Facts), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(move |write| {
            let (amended, facts) = amend(&read_identity(write).map_err(failure)?)?;
            write_identity(write, &facts).map_err(failure)?;
            Ok(amended)
        })
        .await
    }

    /// Reads a tombstone by its hash.
    pub(in crate::store) async fn tombstone_text(
        &self,
        hash: &[u8],
    ) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        self.read(move |read| {
            let table = read.open_table(TOMBSTONES).map_err(failure)?;
            let text = table.get(hash.as_slice()).map_err(failure)?;
            Ok(text.map(|text| text.value().to_owned()))
        })
        .await
    }

    /// Writes a tombstone by its hash.
    pub(in crate::store) async fn put_tombstone(
        &self,
        hash: &[u8],
        text: &str,
    ) -> Result<(), StoreError> {
        let (hash, text) = (hash.to_owned(), text.to_owned());
        self.write(move |write| {
            let mut table = write.open_table(TOMBSTONES).map_err(failure)?;
            let inserted = table.insert(hash.as_slice(), text.as_str());
            inserted.map(drop).map_err(failure)
        })
        .await
    }
}

fn table_sizes(read: &ReadTransaction) -> Result<Vec<PartSize>, redb::Error> {
    let mut sizes = Vec::new();
    for table in read.list_tables()? {
        let name = table.name().to_owned();
        let table = read.open_untyped_table(table)?;
        let stats = table.stats()?;
        sizes.push(PartSize {
            name,
            entries: table.len()?,
            bytes: stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes(),
            is_sampled: false,
            is_of_records: true,
        });
    }
    sizes.sort_by_key(|size| std::cmp::Reverse(size.bytes));
    Ok(sizes)
}
