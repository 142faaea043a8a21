//! The open database of an embedded store, which is reopened after an I/O error.
//!
//! After the first I/O error of its file, redb rejects every call (`PreviousIo`) until the
//! database is reopened. [`Keeper`] reopens it at the next call, under these rules:
//!
//! - One open file description lives as long as the keeper, and so do its locks. Every opening
//!   uses a duplicate of it, so no other process can lock the file in between, and another file
//!   at the same path is never opened.
//! - The database is reopened only after every call on the old one has returned: two databases
//!   that write to one file would destroy it.
//! - A database whose file had an error serves no call. Its cache may lack a commit that failed
//!   after its last byte was written, so a read-back from it could find nothing where the next
//!   opening finds the commit.
//! - The database is reopened only when the disk has `ROOM_BYTES` free. A failed `fsync` is
//!   final: the kernel may have dropped dirty pages and still return them.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, TryLockError, atomic::Ordering},
    time::{Duration, Instant},
};

use redb::{Database, DatabaseError};
use tracing::{error, info};

use super::monitored_file::{FailOnPanic, Health, open_database};
use crate::store::StoreError;

/// The free space that the disk must have before the database is reopened: some thousand
/// purchases.
const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// The least pause between two attempts to reopen a database.
const REOPEN_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// The open database of one file, which is reopened after an I/O error.
pub(super) struct Keeper {
    path: PathBuf,
    /// Holds the locks of the file until the keeper is dropped.
    file: File,
    opened: RwLock<OpenedDatabase>,
    /// Held while the database is reopened.
    reopening: Mutex<ReopenState>,
}

/// The database of the current opening.
struct OpenedDatabase {
    /// Absent while it could not be reopened.
    database: Option<Database>,
    health: Arc<Health>,
}

/// A database that no other call uses, with its file.
pub(super) struct AloneDatabase<'a> {
    pub(super) database: &'a mut Database,
    pub(super) file: &'a File,
}

/// The state of the attempts to reopen the database.
#[derive(Default)]
struct ReopenState {
    not_before: Option<Instant>,
    is_reported: bool,
}

impl Keeper {
    /// Opens the database in an existing file.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file = File::options().read(true).write(true).open(path)?;
        let (database, health) = open_database(&file)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            opened: RwLock::new(OpenedDatabase {
                database: Some(database),
                health,
            }),
            reopening: Mutex::default(),
        })
    }

    /// Runs `work` on the database, which is reopened first if necessary. `work` blocks, and ends
    /// every transaction before it returns.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ensure_open()?;
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        match &opened.database {
            Some(database) if opened.health.is_well() => {
                let _guard = FailOnPanic(&opened.health);
                work(database)
            }
            _ => Err(self.unusable(&opened.health)),
        }
    }

    /// Runs `work` on the database while no other call does. `work` blocks, and ends every transaction
    /// before it returns.
    pub(super) fn with_alone<T>(
        &self,
        work: impl FnOnce(&mut AloneDatabase<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ensure_open()?;
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let OpenedDatabase { database, health } = &mut *opened;
        match database {
            Some(database) if health.is_well() => {
                let _guard = FailOnPanic(health);
                work(&mut AloneDatabase {
                    database,
                    file: &self.file,
                })
            }
            _ => Err(self.unusable(health)),
        }
    }

    /// Reopens the database after an I/O error, unless the last attempt was too recent.
    fn ensure_open(&self) -> Result<(), StoreError> {
        let health = {
            let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
            if opened.database.is_some() && opened.health.is_well() {
                return Ok(());
            }
            Arc::clone(&opened.health)
        };
        let mut state = match self.reopening.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another call is reopening it.
            Err(TryLockError::WouldBlock) => return Err(self.unusable(&health)),
        };
        let began = Instant::now();
        if state.not_before.is_some_and(|earliest| began < earliest) {
            return Err(self.unusable(&health));
        }
        if !std::mem::replace(&mut state.is_reported, true) {
            error!(
                path = %self.path.display(),
                problem = health.problem(),
                "embedded store: I/O error; every call fails until it is reopened"
            );
        }
        let reopened = self.reopen();
        if let Err(problem) = reopened {
            // A repair reads the whole file, so repairs may take at most a third of the time.
            state.not_before = Some(Instant::now() + REOPEN_INTERVAL_MIN.max(began.elapsed() * 2));
            health.note(&problem);
            return Err(self.unusable(&health));
        }
        *state = ReopenState::default();
        info!(path = %self.path.display(), "embedded store: reopened");
        Ok(())
    }

    fn reopen(&self) -> Result<(), String> {
        // Blocks until every call on the old database has returned.
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.database.is_some() && opened.health.is_well() {
            return Ok(());
        }
        if opened.health.is_sync_lost.load(Ordering::SeqCst) {
            return Err(
                "a sync failed, so the contents of the disk are uncertain; check the disk, then \
                 restart the gateway"
                    .to_owned(),
            );
        }
        drop(opened.database.take());
        if !opened.health.is_closed.load(Ordering::SeqCst) {
            return Err("it is still in use; restart the gateway".to_owned());
        }
        self.require_room()
            .map_err(|error| format!("no space for {ROOM_BYTES} bytes beside it: {error}"))?;
        let (database, health) = open_database(&self.file).map_err(|error| error.to_string())?;
        *opened = OpenedDatabase {
            database: Some(database),
            health,
        };
        Ok(())
    }

    /// Verifies that the disk has `ROOM_BYTES` free. A small commit would not show that: redb can
    /// write to the pages that it already has on a full disk.
    fn require_room(&self) -> io::Result<()> {
        let mut probe = self.path.as_os_str().to_owned();
        probe.push(".probe");
        let probe = PathBuf::from(probe);
        let written = File::create(&probe).and_then(|mut file| {
            file.write_all(&vec![0x5A; ROOM_BYTES])?;
            file.sync_all()
        });
        let removed = std::fs::remove_file(&probe);
        written.and(removed)
    }

    fn unusable(&self, health: &Health) -> StoreError {
        StoreError::Unavailable(format!(
            "{}: {}; the gateway reopens it after the fault",
            self.path.display(),
            health.problem(),
        ))
    }
}
