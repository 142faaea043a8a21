//! The database behind a store: kept open for reading and writing, or read only.

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::{error::failure, keeper::Keeper};
use crate::store::StoreError;

/// The database behind a store.
pub(super) enum DatabaseSource {
    /// Open for reading and writing.
    Kept(Keeper),
    /// Open for a look, which writes nothing.
    ReadOnly(ReadOnlyDatabase),
}

impl DatabaseSource {
    /// Runs `work` in a read transaction. It blocks.
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

    /// Runs `work` on a database that takes writes. It blocks.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Kept(keeper) => keeper.with(work),
            Self::ReadOnly(_) => Err(StoreError::Unsuitable(
                "it is open for a look, which writes nothing".to_owned(),
            )),
        }
    }
}
