//! The file of an embedded store: its header, the files beside it, and the errors that name it.

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

/// Removes a file, if it exists.
pub(super) fn remove_leftover(made: &Path) -> io::Result<()> {
    match fs::remove_file(made) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Returns true when another process has a store open. redb panics on some kinds of damage: such
/// a store is damaged, not in use.
pub(super) fn is_in_use(file: &Path) -> bool {
    let open = || {
        matches!(
            Database::open(file),
            Err(DatabaseError::DatabaseAlreadyOpen)
        )
    };
    std::panic::catch_unwind(open).unwrap_or(false)
}

/// Verifies that a file has the header of a store, before redb opens it.
pub(super) fn require_whole(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if !metadata.is_file() {
        return Err(unusable(path, &"it is not a file; configure a file"));
    }
    if metadata.len() == 0 {
        return Err(damaged(path, &"it is empty, so it is not a store"));
    }
    let mut head = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unusable(path, &error)),
        Ok(()) if head == MAGIC => Ok(()),
        _ => Err(damaged(path, &"it is not a store")),
    }
}

/// Builds the error of an unusable store.
pub(super) fn unusable(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unsuitable(format!("{}: {problem}", file.display()))
}

/// Builds the error of a missing store that must exist.
pub(super) fn missing(file: &Path) -> StoreError {
    let problem = "there is no such file, and store.must_exist is set: mount the volume that \
                   holds it, or restore a backup (docs/OPERATIONS.md); set store.must_exist = \
                   false only if this gateway has never made a purchase";
    unusable(file, &problem)
}

/// Builds the error of a file that is not a complete store. Its first remedy is not to move the
/// file away: a new store has no record of earlier purchases.
pub(super) fn damaged(file: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let problem = format!(
        "{problem}; restore a backup as {} (docs/OPERATIONS.md); move the file away only if this \
         gateway has never made a purchase",
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
