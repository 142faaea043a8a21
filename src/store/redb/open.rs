//! Opening a store, taking its identity, and restoring a backup.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use redb::{Database, DatabaseError, ReadableTable, WriteTransaction};

use super::{
    DUE, DUE_OF, EVENTS, IDENTITY, LISTING, LOG, RECORDS, RedbStore, TRACES, blocking, notes,
    unavailable,
};
use crate::store::{
    Identity, StoreError, UserIdBefore, UserIdChange, guard,
    identity::{self, Facts},
};

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
        guard::start(&backed_up, now, || identity.epoch).await?;
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

    /// Changes the user id of an account, and returns what the store held before. Without
    /// `is_confirmed` nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the change is refused.
    pub async fn change_user_id(
        &self,
        change: &UserIdChange,
        is_confirmed: bool,
    ) -> Result<UserIdBefore, StoreError> {
        let change = change.clone();
        self.write(move |write| {
            let (before, facts) = change.plan(&read_identity(write).map_err(unavailable)?)?;
            if is_confirmed {
                write_identity(write, &facts).map_err(unavailable)?;
            }
            Ok(before)
        })
        .await
    }

    async fn open_as(
        file: &Path,
        identity: &Identity,
        is_restored: bool,
    ) -> Result<Self, StoreError> {
        let (file, identity) = (file.to_owned(), identity.clone());
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
            take_identity(&write, &identity)?;
            let epoch = take_epoch(&write, &epoch, is_restored).map_err(unavailable)?;
            write.commit().map_err(unavailable)?;
            Ok(Self {
                database: Arc::new(database),
                epoch,
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
    write.open_table(TRACES)?;
    write.open_table(LOG)?;
    write.open_table(LISTING)?;
    write.open_table(IDENTITY)?;
    notes::make_tables(write)
}

fn take_identity(write: &WriteTransaction, identity: &Identity) -> Result<(), StoreError> {
    let facts = identity::take(identity, None, &read_identity(write).map_err(unavailable)?)?;
    write_identity(write, &facts).map_err(unavailable)
}

fn read_identity(write: &WriteTransaction) -> Result<Facts, redb::Error> {
    read_facts(&write.open_table(IDENTITY)?)
}

pub(super) fn read_facts(
    table: &impl ReadableTable<&'static str, &'static str>,
) -> Result<Facts, redb::Error> {
    let mut facts = Facts::new();
    for entry in table.iter()? {
        let (fact, value) = entry?;
        facts.insert(fact.value().to_owned(), value.value().to_owned());
    }
    Ok(facts)
}

fn write_identity(write: &WriteTransaction, facts: &Facts) -> Result<(), redb::Error> {
    let mut table = write.open_table(IDENTITY)?;
    for (fact, value) in facts {
        table.insert(fact.as_str(), value.as_str())?;
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
