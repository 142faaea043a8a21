//! The removal of what earlier versions left in the file.
//!
//! redb copies a page on each write, and the former page keeps its bytes until another one takes its
//! place. Compaction moves what is used to the front of the file and cuts off the rest, but some free
//! pages remain in between. Zeros fill them once.
//!
//! SUBTLE: within one transaction redb changes its own new pages in place, which leaves the tail of a
//! longer value behind. So what must disappear is replaced in transactions that write nothing else
//! (`erasure.rs`), and a page that is copied by the next one starts as zeros.

use std::sync::Arc;

use redb::{Database, TableDefinition, WriteTransaction};

use super::{
    error::{commit_failure, failure},
    keeper::AloneDatabase,
    store::{RedbStore, blocking},
};
use crate::store::StoreError;

/// A table that exists while free pages are overwritten.
const ZEROS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("zeros");
/// A value that takes a page of its own, the smallest of which has 4 KiB.
const ZEROS_OF_PAGE: [u8; 3000] = [0; 3000];
/// The number of pages that one transaction fills.
const FILLED_AT_ONCE: usize = 4096;
/// The number of pages that are filled beyond the free ones.
const FILLED_MORE: u64 = 16;

impl RedbStore {
    /// Overwrites what earlier versions of records and events left in the file. Takes the time of
    /// rewriting the file; no other call may run meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be rewritten; safe to retry.
    pub(in crate::store) async fn overwrite_freed(&self) -> Result<(), StoreError> {
        let source = Arc::clone(&self.source);
        blocking(move || source.with_alone(overwrite_freed)).await
    }
}

fn overwrite_freed(alone: &mut AloneDatabase<'_>) -> Result<(), StoreError> {
    alone.database.compact().map_err(failure)?;
    fill_free_pages(alone)?;
    alone.database.compact().map(drop).map_err(failure)
}

/// Writes zeros to every page that is free, and frees it again.
fn fill_free_pages(alone: &AloneDatabase<'_>) -> Result<(), StoreError> {
    let write = alone.database.begin_write().map_err(failure)?;
    let stats = write.stats().map_err(failure)?;
    write.abort().map_err(failure)?;
    let length = alone.file.metadata();
    let length = length.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let pages = length.len() / u64::try_from(stats.page_size()).unwrap_or(u64::MAX);
    // The pages that it needs for itself come on top.
    let free = pages.saturating_sub(stats.allocated_pages()) + FILLED_MORE;
    for first in (0..free).step_by(FILLED_AT_ONCE) {
        let last = free.min(first + FILLED_AT_ONCE as u64);
        in_transaction(alone.database, |write| {
            let mut zeros = write.open_table(ZEROS)?;
            for number in first..last {
                zeros.insert(number, ZEROS_OF_PAGE.as_slice())?;
            }
            Ok(())
        })?;
    }
    in_transaction(alone.database, |write| {
        write.delete_table(ZEROS)?;
        Ok(())
    })
}

fn in_transaction(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), StoreError> {
    let write = database.begin_write().map_err(failure)?;
    work(&write).map_err(failure)?;
    write.commit().map_err(commit_failure)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use redb::{ReadableDatabase, ReadableTableMetadata};

    use super::*;

    const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");
    const MARK: &[u8] = b"of a row that is removed";

    /// Returns the next value of a fixed pseudo-random sequence.
    fn next(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn removed_rows_are_overwritten_in_pages_that_stay_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let mut database = Database::create(&path).unwrap();
        let mut state = 88_172_645_463_325_252;
        for _ in 0..10 {
            in_transaction(&database, |write| {
                let mut rows = write.open_table(ROWS)?;
                for _ in 0..200 {
                    let longest = if next(&mut state).is_multiple_of(10) {
                        40_000
                    } else {
                        1500
                    };
                    let length = usize::try_from(next(&mut state) % longest).unwrap();
                    let row = MARK.repeat(1 + length / MARK.len());
                    rows.insert(next(&mut state) % 400, row.as_slice())?;
                }
                Ok(())
            })
            .unwrap();
        }
        // One row in each transaction, as an erasure does.
        for number in 0..400 {
            let length = usize::try_from(next(&mut state) % 20_000).unwrap();
            in_transaction(&database, |write| {
                let mut rows = write.open_table(ROWS)?;
                rows.insert(number, vec![1; length].as_slice())?;
                Ok(())
            })
            .unwrap();
        }
        let is_held = || {
            let file = std::fs::read(&path).unwrap();
            file.windows(MARK.len()).any(|window| window == MARK)
        };
        database.compact().unwrap();
        assert!(is_held(), "compaction alone overwrites it");
        let file = File::open(&path).unwrap();
        overwrite_freed(&mut AloneDatabase {
            database: &mut database,
            file: &file,
        })
        .unwrap();
        assert!(!is_held());
        let read = database.begin_read().unwrap();
        assert_eq!(read.open_table(ROWS).unwrap().len().unwrap(), 400);
    }
}
