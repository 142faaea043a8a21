//! The database of a store: open for reading and writing, or read-only.

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::{
    error::failure,
    keeper::{AloneDatabase, Keeper},
};
use crate::store::StoreError;

/// The database of a store.
pub(super) enum DatabaseSource {
    /// Opened for reading and writing.
    Kept(Keeper),
    /// Opened read-only.
    ReadOnly(ReadOnlyDatabase),
}

impl DatabaseSource {
    /// Runs `work` in a read transaction. Blocks the thread.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Kept(keeper) => {
                keeper.with(|database| work(&database.begin_read().map_err(failure)?))
            }
            Self::ReadOnly(database) => work(&database.begin_read().map_err(failure)?),
        }
    }

    /// Runs `work` on a writable database that no other call uses. Blocks the thread.
    pub(super) fn with_alone<T>(
        &self,
        work: impl FnOnce(&mut AloneDatabase<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Kept(keeper) => keeper.with_alone(work),
            Self::ReadOnly(_) => Err(read_only()),
        }
    }

    /// Runs `work` on a writable database. Blocks the thread.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Kept(keeper) => keeper.with(work),
            Self::ReadOnly(_) => Err(read_only()),
        }
    }
}

fn read_only() -> StoreError {
    StoreError::Unsuitable("the store is open read-only".to_owned())
}
