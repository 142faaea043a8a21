//! Opening a store, making one, taking its identity, and restoring a backup.
//!
//! A store that is lost must never be taken for a new one, or what was bought is bought
//! again. So nothing is ever made over a file that exists, and a file that is there is a
//! whole store from the first moment: it is made beside its place and linked into it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, WriteTransaction,
};

use super::{
    DUE, DUE_OF, EVENTS, IDENTITY, Keeper, LISTING, LOG, RECORDS, RedbSettings, RedbStore, TRACES,
    blocking, due, notes, unavailable,
};
use crate::store::{
    Identity, StoreError, UserIdBefore, UserIdChange, guard,
    identity::{self, Facts},
};

/// How every file of redb begins.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

impl RedbStore {
    /// Opens the store in `file`, and makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, when it cannot
    /// be written, when the file is no whole store, or when it belongs to other accounts.
    pub async fn open(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        Self::open_with(file, identity, RedbSettings::default()).await
    }

    /// Opens the store with settings, as [`RedbStore::open`] does without.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; and when there is none and one must exist.
    pub async fn open_with(
        file: &Path,
        identity: &Identity,
        settings: RedbSettings,
    ) -> Result<Self, StoreError> {
        Self::open_as(file, identity, settings, false).await
    }

    /// Opens a store that was restored from a backup: what came later may be lost, so
    /// its history gets the name of `identity`.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; and when there is none.
    pub async fn open_restored(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        let settings = RedbSettings {
            must_exist: true,
            ..RedbSettings::default()
        };
        Self::open_as(file, identity, settings, true).await
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
        let (backup, replaced) = (beside(file, ".restore"), beside(file, ".replaced"));
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
        if require_whole(&backup).is_err() {
            return Err(StoreError::Unsuitable(format!(
                "{} is no whole store: copy the backup there again, or take it away",
                backup.display()
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
                if is_in_use(&file) {
                    return Err(problem(&DatabaseError::DatabaseAlreadyOpen));
                }
                fs::rename(&file, &replaced).map_err(|error| problem(&error))?;
            }
            fs::rename(&backup, &file).map_err(|error| problem(&error))?;
            sync_folder(&file).map_err(|error| problem(&error))?;
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
                make(&path, &identity, &ours)?;
            }
            require_whole(&path)?;
            let keeper = Keeper::open(&path).map_err(|error| match &error {
                DatabaseError::Storage(StorageError::Io(cause)) if !is_damage(cause) => {
                    unusable(&path, &error)
                }
                DatabaseError::Storage(_) => damaged(&path, &error),
                _ => unusable(&path, &error),
            })?;
            // A second name of the store, where its maker died before it took that away.
            remove_leftover(&beside(&path, ".making")).map_err(|error| unusable(&path, &error))?;
            let epoch = keeper.with(|database| {
                require_identity(database, &path)?;
                let write = database.begin_write().map_err(unavailable)?;
                make_tables(&write).map_err(unavailable)?;
                take_identity(&write, &identity)?;
                let epoch = take_epoch(&write, &ours, is_restored).map_err(unavailable)?;
                write.commit().map_err(unavailable)?;
                Ok(epoch)
            })?;
            Ok(Self::new(keeper, epoch, settings.timeout))
        });
        // redb panics over some kinds of damage.
        let opened = opening.await;
        opened.unwrap_or_else(|_| Err(damaged(file, &"it cannot be read")))
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

fn unusable(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unsuitable(format!("{}: {problem}", file.display()))
}

/// Returns true when another process has a store open. redb panics over some kinds of damage:
/// such a store is damaged, and not in use.
fn is_in_use(file: &Path) -> bool {
    let open = || {
        matches!(
            Database::open(file),
            Err(DatabaseError::DatabaseAlreadyOpen)
        )
    };
    std::panic::catch_unwind(open).unwrap_or(false)
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

fn missing(file: &Path) -> StoreError {
    let problem = "there is no such file, and store.must_exist is set: mount the volume that \
                   holds it, or restore a backup (docs/OPERATIONS.md); set store.must_exist = \
                   false only where this gateway has never bought anything";
    unusable(file, &problem)
}

/// Builds the error of a file that is no whole store. Taking it away is not the first advice: a
/// new store knows nothing of what was bought.
fn damaged(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let problem = format!(
        "{problem}; restore a backup as {} (docs/OPERATIONS.md); move it away only if this \
         gateway has never bought anything",
        beside(file, ".restore").display()
    );
    unusable(file, &problem)
}

/// Verifies that a file has the head of a store, before redb may touch it.
fn require_whole(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if !metadata.is_file() {
        return Err(unusable(path, &"it is no file; name a file"));
    }
    if metadata.len() == 0 {
        return Err(damaged(path, &"it is empty, so it is no store"));
    }
    let mut head = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unusable(path, &error)),
        Ok(()) if head == MAGIC => Ok(()),
        _ => Err(damaged(path, &"it is no store")),
    }
}

/// Verifies that an open database is a store of a gateway: an empty database, which redb
/// may also make of a torn one, must not become one.
fn require_identity(database: &Database, path: &Path) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(unavailable)?;
    let has_schema = match read.open_table(IDENTITY) {
        Ok(identity) => identity.get("schema").map_err(unavailable)?.is_some(),
        Err(redb::TableError::TableDoesNotExist(_)) => false,
        Err(error) => return Err(unavailable(error)),
    };
    if has_schema {
        Ok(())
    } else {
        Err(damaged(path, &"it holds no store of a gateway"))
    }
}

/// Makes a store: all of it, or nothing. A crash at any moment leaves no file, or a whole
/// store; what it leaves beside its place is taken away by the next one.
fn make(file: &Path, identity: &Identity, epoch: &str) -> Result<(), StoreError> {
    let problem = |error: &dyn std::fmt::Display| unusable(file, &format!("not made: {error}"));
    let folder = folder_of(file);
    fs::create_dir_all(folder).map_err(|error| problem(&error))?;
    // One maker at a time; a file system without such locks still has no overwriting below.
    let turn = File::open(folder).map_err(|error| problem(&error))?;
    let _ = turn.lock();
    let making = beside(file, ".making");
    if file.try_exists().map_err(|error| problem(&error))? {
        return Ok(());
    }
    remove_leftover(&making).map_err(|error| problem(&error))?;
    {
        let database = Database::create(&making).map_err(|error| problem(&error))?;
        let write = database.begin_write().map_err(unavailable)?;
        make_tables(&write).map_err(unavailable)?;
        take_identity(&write, identity)?;
        take_epoch(&write, epoch, false).map_err(unavailable)?;
        write.commit().map_err(unavailable)?;
    }
    File::open(&making)
        .and_then(|made| made.sync_all())
        .and_then(|()| place(&making, file))
        .and_then(|()| sync_folder(file))
        .map_err(|error| problem(&error))
}

fn remove_leftover(made: &Path) -> io::Result<()> {
    match fs::remove_file(made) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Moves a file to a place where there must be none.
fn place(made: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(made, file) {
        Ok(()) => remove_leftover(made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links: the turn of its maker must do.
        Err(_) if !file.try_exists()? => fs::rename(made, file),
        Err(error) => Err(error),
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a file's folder durable.
fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
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

fn take_identity(write: &WriteTransaction, identity: &Identity) -> Result<(), StoreError> {
    let facts = identity::adopt(identity, None, &read_identity(write).map_err(unavailable)?)?;
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
