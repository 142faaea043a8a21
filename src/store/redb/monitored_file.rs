//! The file of an embedded store, and the health of one opening of it.

use std::{
    fs::File,
    io,
    ops::Bound,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend, backends::FileBackend};

/// Opens the database in a duplicate of a file. The locks belong to the open file description,
/// which both share.
pub(super) fn open_database(file: &File) -> Result<(Database, Arc<Health>), DatabaseError> {
    let health = Arc::new(Health::default());
    let backend = MonitoredFile {
        inner: FileBackend::new(file.try_clone()?)?,
        health: Arc::clone(&health),
    };
    let database = Builder::new().create_with_backend(backend)?;
    Ok((database, health))
}

/// The state of one opening of the file.
#[derive(Debug, Default)]
pub(super) struct Health {
    has_failed: AtomicBool,
    /// A sync failed, so the contents of the disk are uncertain.
    pub(super) is_sync_lost: AtomicBool,
    /// redb has closed the database.
    pub(super) is_closed: AtomicBool,
    /// The last problem.
    problem: Mutex<String>,
}

impl Health {
    /// Returns true until the first I/O error.
    pub(super) fn is_well(&self) -> bool {
        !self.has_failed.load(Ordering::SeqCst)
    }

    /// Returns the last problem.
    pub(super) fn problem(&self) -> String {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }

    /// Records a problem.
    pub(super) fn note(&self, problem: &str) {
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone_into(&mut known);
    }

    fn fail(&self, problem: &str) {
        self.note(problem);
        self.has_failed.store(true, Ordering::SeqCst);
    }

    /// Records the failure of a file operation.
    fn watch<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            self.fail(&error.to_string());
        }
        done
    }
}

/// A guard that marks the database as failed when a call panics, which poisons its locks.
pub(super) struct FailOnPanic<'a>(pub(super) &'a Health);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a call on it panicked");
        }
    }
}

/// A file that records its errors, and whose locks outlive the database.
#[derive(Debug)]
struct MonitoredFile {
    inner: FileBackend,
    health: Arc<Health>,
}

impl StorageBackend for MonitoredFile {
    fn len(&self) -> io::Result<u64> {
        match self.health.watch(self.inner.len())? {
            // redb would create a new database in an empty file.
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

    /// Keeps the locks, which are released when the file is closed.
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
