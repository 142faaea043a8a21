//! The open database of an embedded store, opened again after an I/O error.
//!
//! After the first I/O error of its file redb refuses everything (`PreviousIo`) until the
//! database is opened again. [`Keeper`] does that, at the next call, under these rules:
//!
//! - One open file description lives as long as the keeper, and its locks with it. Every
//!   opening uses a duplicate of it, so no second process can slip in between, and a file
//!   that took the same path meanwhile is never opened.
//! - Nothing is opened before every call on the old database has returned: two databases
//!   that write to one file would destroy it.
//! - Nothing is served by a database whose file had an error. Its cache may lack a commit
//!   that failed after its last byte was written, so a read-back from it could find
//!   nothing where the next opening finds the commit.
//! - A database is opened again only when there is room for some time to come. A failed
//!   `fsync` is final: the kernel may have dropped what it could not write and still show it.

use std::{
    fs::File,
    io::{self, Write},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend, backends::FileBackend};
use tracing::{error, info};

use crate::store::StoreError;

/// The room that a full disk must have again: some thousand purchases.
const ROOM_BYTES: usize = 4 * 1024 * 1024;
/// The least time between two tries to open a database again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Holds the open database of one file.
pub(super) struct Keeper {
    path: PathBuf,
    /// Holds the locks of the file until the keeper goes.
    file: File,
    slot: RwLock<Slot>,
    /// Held while the database is opened again.
    again: Mutex<Again>,
}

struct Slot {
    /// Absent while it could not be opened again.
    database: Option<Database>,
    health: Arc<Health>,
}

/// The last try to open the database again that failed.
#[derive(Default)]
struct Again {
    not_before: Option<Instant>,
    is_reported: bool,
}

impl Keeper {
    /// Opens the database in a file that exists and holds one.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file = File::options().read(true).write(true).open(path)?;
        let (database, health) = open_database(&file)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            slot: RwLock::new(Slot {
                database: Some(database),
                health,
            }),
            again: Mutex::default(),
        })
    }

    /// Runs `work` on the database, which is opened again first where that is needed. It
    /// blocks, and ends every transaction before it returns.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.mend()?;
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        match &slot.database {
            Some(database) if slot.health.is_well() => {
                let _guard = FailOnPanic(&slot.health);
                work(database)
            }
            _ => Err(self.unusable(&slot.health)),
        }
    }

    fn mend(&self) -> Result<(), StoreError> {
        let health = {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            if slot.database.is_some() && slot.health.is_well() {
                return Ok(());
            }
            Arc::clone(&slot.health)
        };
        let mut again = match self.again.try_lock() {
            Ok(again) => again,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another call is opening it.
            Err(TryLockError::WouldBlock) => return Err(self.unusable(&health)),
        };
        let began = Instant::now();
        if again.not_before.is_some_and(|earliest| began < earliest) {
            return Err(self.unusable(&health));
        }
        if !std::mem::replace(&mut again.is_reported, true) {
            error!(
                path = %self.path.display(),
                problem = health.problem(),
                "embedded store: I/O error; nothing is stored until it can be opened again"
            );
        }
        let reopened = self.reopen();
        if let Err(problem) = reopened {
            // A repair reads the whole file: it must not be all that the machine does.
            again.not_before = Some(Instant::now() + AGAIN_AFTER.max(began.elapsed() * 2));
            health.note(&problem);
            return Err(self.unusable(&health));
        }
        *again = Again::default();
        info!(path = %self.path.display(), "embedded store: opened again");
        Ok(())
    }

    fn reopen(&self) -> Result<(), String> {
        // Waits for every call on the old database.
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.database.is_some() && slot.health.is_well() {
            return Ok(());
        }
        if slot.health.is_sync_lost.load(Ordering::SeqCst) {
            return Err(
                "a sync of it failed, so it is not certain what is on the disk; look after the \
                 disk, then restart the gateway"
                    .to_owned(),
            );
        }
        drop(slot.database.take());
        if !slot.health.is_closed.load(Ordering::SeqCst) {
            return Err("it is still in use; restart the gateway".to_owned());
        }
        self.require_room()
            .map_err(|error| format!("no room for {ROOM_BYTES} bytes beside it: {error}"))?;
        let (database, health) = open_database(&self.file).map_err(|error| error.to_string())?;
        *slot = Slot {
            database: Some(database),
            health,
        };
        Ok(())
    }

    /// Verifies that the disk takes as much as is soon needed: pages that redb already has
    /// can be written on a full disk, so a small commit proves nothing.
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
            "{}: {}; it is opened again by itself once that is over",
            self.path.display(),
            health.problem(),
        ))
    }
}

/// Opens a duplicate of a file. Its locks belong to the description that both share.
fn open_database(file: &File) -> Result<(Database, Arc<Health>), DatabaseError> {
    let health = Arc::new(Health::default());
    let backend = Watched {
        inner: FileBackend::new(file.try_clone()?)?,
        health: Arc::clone(&health),
    };
    let database = Builder::new().create_with_backend(backend)?;
    Ok((database, health))
}

/// The state of one opening of the file.
#[derive(Debug, Default)]
struct Health {
    has_failed: AtomicBool,
    is_sync_lost: AtomicBool,
    is_closed: AtomicBool,
    problem: Mutex<String>,
}

impl Health {
    fn is_well(&self) -> bool {
        !self.has_failed.load(Ordering::SeqCst)
    }

    fn problem(&self) -> String {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }

    fn note(&self, problem: &str) {
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone_into(&mut known);
    }

    fn fail(&self, problem: &str) {
        self.note(problem);
        self.has_failed.store(true, Ordering::SeqCst);
    }

    fn watch<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            self.fail(&error.to_string());
        }
        done
    }
}

/// Marks the database as failed when a call panics: its locks are poisoned then.
struct FailOnPanic<'a>(&'a Health);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a call on it panicked");
        }
    }
}

/// A file whose errors are noted, and whose locks outlive the database.
#[derive(Debug)]
struct Watched {
    inner: FileBackend,
    health: Arc<Health>,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        match self.health.watch(self.inner.len())? {
            // redb would make a new database of it.
            0 => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is empty",
            )),
            length => Ok(length),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.health.watch(self.inner.read(offset, out))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.health.watch(self.inner.set_len(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let done = self.inner.sync_data();
        if done.is_err() {
            self.health.is_sync_lost.store(true, Ordering::SeqCst);
        }
        self.health.watch(done)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.watch(self.inner.write(offset, data))
    }

    /// Keeps the locks: they are released with the file itself.
    fn close(&self) -> io::Result<()> {
        self.health.is_closed.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
