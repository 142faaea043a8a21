//! Opens an embedded store read-only.

use std::{path::Path, sync::Arc};

use redb::{DatabaseError, ReadOnlyDatabase, ReadableDatabase};

use super::{
    error::failure,
    settings::RedbSettings,
    source::DatabaseSource,
    store::{RedbStore, blocking},
    tables::IDENTITY,
};
use crate::store::{StoreError, record::Codec};

impl RedbStore {
    /// Opens the store in `file` read-only. Writes nothing, not even the identity; writes to it
    /// fail.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, or it is not a store.
    pub async fn open_read_only(file: &Path, settings: RedbSettings) -> Result<Self, StoreError> {
        let file = file.to_owned();
        blocking(move || {
            let database = ReadOnlyDatabase::open(&file).map_err(|error| {
                let remedy = match error {
                    DatabaseError::RepairAborted => {
                        "; it was not closed properly: start a gateway, which repairs it"
                    }
                    _ => "",
                };
                StoreError::Unsuitable(format!("{}: {error}{remedy}", file.display()))
            })?;
            let read = database.begin_read().map_err(failure)?;
            let identity = read.open_table(IDENTITY).map_err(failure)?;
            let epoch = identity.get("epoch").map_err(failure)?;
            let epoch = epoch.map_or_else(String::new, |epoch| epoch.value().to_owned());
            let codec = Codec::new(Arc::clone(&settings.keys));
            let source = DatabaseSource::ReadOnly(database);
            Ok(Self::new(source, epoch, &settings, codec))
        })
        .await
    }
}
