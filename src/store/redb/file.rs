//! The file of an embedded store: its neighbours, its head, and the errors that name it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError};

use crate::store::StoreError;

/// The first bytes of every file of redb.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// Returns the path of a file beside the store, with the same name and an ending.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// Returns the folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// Removes a file that may not exist.
pub(super) fn remove_leftover(made: &Path) -> io::Result<()> {
    match fs::remove_file(made) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Returns true when another process has a store open. redb panics over some kinds of damage:
/// such a store is damaged, and not in use.
pub(super) fn is_in_use(file: &Path) -> bool {
    let open = || {
        matches!(
            Database::open(file),
            Err(DatabaseError::DatabaseAlreadyOpen)
        )
    };
    std::panic::catch_unwind(open).unwrap_or(false)
}

/// Verifies that a file has the head of a store, before redb may touch it.
pub(super) fn require_whole(path: &Path) -> Result<(), StoreError> {
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

/// Builds the error of a store that cannot be used.
pub(super) fn unusable(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unsuitable(format!("{}: {problem}", file.display()))
}

/// Builds the error of a store that must exist and does not.
pub(super) fn missing(file: &Path) -> StoreError {
    let problem = "there is no such file, and store.must_exist is set: mount the volume that \
                   holds it, or restore a backup (docs/OPERATIONS.md); set store.must_exist = \
                   false only where this gateway has never bought anything";
    unusable(file, &problem)
}

/// Builds the error of a file that is no whole store. Moving it away is not the first advice: a
/// new store knows nothing of what was bought.
pub(super) fn damaged(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let problem = format!(
        "{problem}; restore a backup as {} (docs/OPERATIONS.md); move it away only if this \
         gateway has never bought anything",
        beside(file, ".restore").display()
    );
    unusable(file, &problem)
}

/// Returns true when an I/O error means that the file is damaged.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
