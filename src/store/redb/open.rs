//! Opens an embedded store.

use std::{path::Path, sync::Arc};

use redb::{Database, DatabaseError, ReadableDatabase, StorageError};
use uuid::Uuid;

use super::{
    create::{create, create_target},
    error::{commit_failure, failure},
    file::{beside, damaged, is_damage, missing, remove_leftover, require_whole, unusable},
    identity::{adopt_identity, set_epoch},
    keeper::Keeper,
    settings::RedbSettings,
    source::DatabaseSource,
    store::RedbStore,
    tables::{IDENTITY, create_tables},
};
use crate::store::{Identity, StoreError, record::Codec};

impl RedbStore {
    /// Opens the store in `file`; creates it if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, when it cannot be written, when
    /// the file is not a complete store, or when it has another identity.
    pub async fn open(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        Self::open_with(file, identity, RedbSettings::default()).await
    }

    /// Opens the store like [`RedbStore::open`], with settings.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; and when the store must exist and does not.
    pub async fn open_with(
        file: &Path,
        identity: &Identity,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        Self::open_as(file, identity, settings, false).await
    }

    /// Opens a store that was restored from a backup: later records may be lost, so it gets the
    /// epoch of `identity`.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; and when the store does not exist.
    pub async fn open_restored(
        file: &Path,
        identity: &Identity,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        let settings = RedbSettings {
            must_exist: true,
            timeout: RedbSettings::default().timeout,
            ..settings
        };
        Self::open_as(file, identity, settings, true).await
    }

    /// Opens a store that takes part in a copy, whatever its identity. With `epoch`, creates it if it
    /// does not exist.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; and without `epoch`, when the store does not exist.
    pub(in crate::store) async fn open_for_copy(
        file: &Path,
        epoch: Option<Uuid>,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        let path = file.to_owned();
        let opening = tokio::task::spawn_blocking(move || {
            if let Some(epoch) = epoch
                && !path.try_exists().map_err(|error| unusable(&path, &error))?
            {
                create_target(&path, &epoch.to_string())?;
            }
            let keeper = open_keeper(&path)?;
            let epoch = keeper.with(|database| {
                require_identity(database, &path)?;
                let write = database.begin_write().map_err(failure)?;
                create_tables(&write).map_err(failure)?;
                let epoch = set_epoch(&write, "", false).map_err(failure)?;
                write.commit().map_err(commit_failure)?;
                Ok(epoch)
            })?;
            let codec = Codec::new(Arc::clone(&settings.keys));
            Ok(Self::new(
                DatabaseSource::Kept(keeper),
                epoch,
                &settings,
                codec,
            ))
        });
        // redb panics on some kinds of damage.
        let opened = opening.await;
        opened.unwrap_or_else(|_| Err(damaged(file, &"it cannot be read")))
    }

    async fn open_as(
        file: &Path,
        identity: &Identity,
        settings: RedbSettings,
        is_restored: bool,
    ) -> Result<Self, StoreError> {
        let (path, identity) = (file.to_owned(), identity.clone());
        let ours = identity.epoch.to_string();
        let opening = tokio::task::spawn_blocking(move || {
            if !path.try_exists().map_err(|error| unusable(&path, &error))? {
                if settings.must_exist {
                    return Err(missing(&path));
                }
                create(&path, &identity, &settings.keys, &ours)?;
            }
            let keeper = open_keeper(&path)?;
            let codec = Codec::new(Arc::clone(&settings.keys));
            let epoch = keeper.with(|database| {
                require_identity(database, &path)?;
                let write = database.begin_write().map_err(failure)?;
                create_tables(&write).map_err(failure)?;
                if let Some(schema) = adopt_identity(&write, &identity, &settings.keys)? {
                    codec.learn(schema);
                }
                let epoch = set_epoch(&write, &ours, is_restored).map_err(failure)?;
                write.commit().map_err(commit_failure)?;
                Ok(epoch)
            })?;
            Ok(Self::new(
                DatabaseSource::Kept(keeper),
                epoch,
                &settings,
                codec,
            ))
        });
        // redb panics on some kinds of damage.
        let opened = opening.await;
        opened.unwrap_or_else(|_| Err(damaged(file, &"it cannot be read")))
    }
}

/// Opens the database in an existing file.
fn open_keeper(path: &Path) -> Result<Keeper, StoreError> {
    require_whole(path)?;
    let keeper = Keeper::open(path).map_err(|error| match &error {
        DatabaseError::Storage(StorageError::Io(cause)) if !is_damage(cause) => {
            unusable(path, &error)
        }
        DatabaseError::Storage(_) => damaged(path, &error),
        _ => unusable(path, &error),
    })?;
    // The temporary name of the store, left by a creator that crashed.
    remove_leftover(&beside(path, ".making")).map_err(|error| unusable(path, &error))?;
    Ok(keeper)
}

/// Verifies that an open database is the store of a gateway. An empty database must not become
/// one: redb may create one from a damaged file.
fn require_identity(database: &Database, path: &Path) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(failure)?;
    let has_schema = match read.open_table(IDENTITY) {
        Ok(identity) => identity.get("schema").map_err(failure)?.is_some(),
        Err(redb::TableError::TableDoesNotExist(_)) => false,
        Err(error) => return Err(failure(error)),
    };
    if has_schema {
        Ok(())
    } else {
        Err(damaged(path, &"it is not the store of a gateway"))
    }
}
