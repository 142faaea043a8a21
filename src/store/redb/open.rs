//! Opening a store, taking its identity, and restoring a backup.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use redb::{Database, DatabaseError, ReadableTable, WriteTransaction};

use super::{
    DUE, DUE_OF, EVENTS, IDENTITY, LISTING, LOG, RECORDS, RedbStore, TRACES, blocking, due, notes,
    unavailable,
};
use crate::store::{Identity, StoreError, belongs_elsewhere, guard};

impl RedbStore {
    /// Opens the store in `file`, and makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, when it cannot
    /// be written, or when it belongs to other accounts.
    pub async fn open(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        Self::open_as(file, identity, false).await
    }

    /// Opens a store that was restored from a backup: what came later may be lost, so
    /// its history gets the name of `identity`.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub async fn open_restored(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        Self::open_as(file, identity, true).await
    }

    /// Puts a backup in the place of the store, if one lies beside it as
    /// `<file>.restore`; the store that was there is kept as `<file>.replaced`. The
    /// guard is on before the backup becomes the store.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when either is open elsewhere or cannot be used, or
    /// when a store that was replaced before would be lost.
    pub async fn restore(
        file: &Path,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let beside = |ending: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let (backup, replaced) = (beside(".restore"), beside(".replaced"));
        if !backup.exists() {
            return Ok(false);
        }
        if file.exists() && replaced.exists() {
            return Err(StoreError::Unsuitable(format!(
                "{} cannot be restored: {} is still there; move it away",
                file.display(),
                replaced.display()
            )));
        }
        let backed_up = Self::open_restored(&backup, identity).await?;
        guard::start(&backed_up, now).await?;
        drop(backed_up);
        let file = file.to_owned();
        blocking(move || {
            let problem = |error: &dyn std::fmt::Display| {
                StoreError::Unsuitable(format!("{} cannot be restored: {error}", file.display()))
            };
            if file.exists() {
                // A store that is damaged may be replaced, one that is in use may not.
                let current = Database::open(&file);
                if let Err(error @ DatabaseError::DatabaseAlreadyOpen) = &current {
                    return Err(problem(error));
                }
                std::fs::rename(&file, &replaced).map_err(|error| problem(&error))?;
            }
            std::fs::rename(&backup, &file).map_err(|error| problem(&error))?;
            Ok(true)
        })
        .await
    }

    async fn open_as(
        file: &Path,
        identity: &Identity,
        is_restored: bool,
    ) -> Result<Self, StoreError> {
        let (file, facts) = (file.to_owned(), identity.facts(None));
        let epoch = identity.epoch.to_string();
        blocking(move || {
            let unsuitable = |error: &dyn std::fmt::Display| {
                StoreError::Unsuitable(format!("{}: {error}", file.display()))
            };
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(|error| unsuitable(&error))?;
            }
            let database = Database::create(&file).map_err(|error| unsuitable(&error))?;
            let write = database.begin_write().map_err(unavailable)?;
            make_tables(&write).map_err(unavailable)?;
            take_identity(&write, &facts)?;
            let epoch = take_epoch(&write, &epoch, is_restored).map_err(unavailable)?;
            write.commit().map_err(unavailable)?;
            Ok(Self {
                database: Arc::new(database),
                epoch,
                leases: Arc::default(),
            })
        })
        .await
    }
}

fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(RECORDS)?;
    write.open_table(EVENTS)?;
    write.open_table(DUE)?;
    write.open_table(DUE_OF)?;
    due::make_tables(write)?;
    write.open_table(TRACES)?;
    write.open_table(LOG)?;
    write.open_table(LISTING)?;
    write.open_table(IDENTITY)?;
    notes::make_tables(write)
}

fn take_identity(write: &WriteTransaction, facts: &[(String, String)]) -> Result<(), StoreError> {
    let mut table = write.open_table(IDENTITY).map_err(unavailable)?;
    for (fact, ours) in facts {
        let stored = table
            .get(fact.as_str())
            .map_err(unavailable)?
            .map(|value| value.value().to_owned());
        match stored {
            Some(stored) if stored != *ours => return Err(belongs_elsewhere(fact, &stored, ours)),
            Some(_) => {}
            None => {
                table
                    .insert(fact.as_str(), ours.as_str())
                    .map_err(unavailable)?;
            }
        }
    }
    Ok(())
}

/// The name of this history: the first one given, or the one given after a restore.
fn take_epoch(
    write: &WriteTransaction,
    ours: &str,
    is_restored: bool,
) -> Result<String, redb::Error> {
    let mut table = write.open_table(IDENTITY)?;
    if let Some(known) = table.get("epoch")?
        && !is_restored
    {
        return Ok(known.value().to_owned());
    }
    table.insert("epoch", ours)?;
    Ok(ours.to_owned())
}
