//! Making a store.
//!
//! A store that is lost must never be taken for a new one, or what was bought is bought
//! again. So nothing is ever made over a file that exists, and a file that is there is a
//! whole store from the first moment: it is made beside its place and linked into it.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use redb::Database;

use super::{
    error::{commit_failure, failure},
    file::{beside, folder_of, remove_leftover, sync_folder, unusable},
    identity::{adopt_identity, set_epoch},
    tables::create_tables,
};
use crate::store::{Identity, StoreError};

/// Makes a whole store, or nothing. A crash at any moment leaves no file or a whole store; the
/// next attempt removes what it leaves beside its place.
pub(super) fn create(file: &Path, identity: &Identity, epoch: &str) -> Result<(), StoreError> {
    let problem = |error: &dyn std::fmt::Display| unusable(file, &format!("not made: {error}"));
    let folder = folder_of(file);
    fs::create_dir_all(folder).map_err(|error| problem(&error))?;
    // One maker at a time; without such locks, nothing is overwritten below all the same.
    let turn = File::open(folder).map_err(|error| problem(&error))?;
    let _ = turn.lock();
    let making = beside(file, ".making");
    if file.try_exists().map_err(|error| problem(&error))? {
        return Ok(());
    }
    remove_leftover(&making).map_err(|error| problem(&error))?;
    {
        let database = Database::create(&making).map_err(|error| problem(&error))?;
        let write = database.begin_write().map_err(failure)?;
        create_tables(&write).map_err(failure)?;
        adopt_identity(&write, identity)?;
        set_epoch(&write, epoch, false).map_err(failure)?;
        write.commit().map_err(commit_failure)?;
    }
    File::open(&making)
        .and_then(|made| made.sync_all())
        .and_then(|()| place(&making, file))
        .and_then(|()| sync_folder(file))
        .map_err(|error| problem(&error))
}

/// Moves a file to a path where no file exists.
fn place(made: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(made, file) {
        Ok(()) => remove_leftover(made),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links: the lock of its maker must do.
        Err(_) if !file.try_exists()? => fs::rename(made, file),
        Err(error) => Err(error),
    }
}
