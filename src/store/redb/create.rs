//! The creation of a store.
//!
//! A lost store must never be replaced by a new one, or purchases are repeated. So creation never
//! overwrites a file, and is atomic: the store is built under a temporary name and linked into
//! place.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use redb::{Database, WriteTransaction};

use super::{
    error::{commit_failure, failure},
    file::{beside, folder_of, remove_leftover, sync_folder, unusable},
    identity::{adopt_identity, set_epoch, write_identity},
    tables::create_tables,
};
use crate::store::{CopyMark, CopyRole, EncryptionKeys, Identity, StoreError, identity::Facts};

/// Creates a store atomically. A crash leaves no file or a complete store; the next attempt
/// removes the temporary file.
pub(super) fn create(
    file: &Path,
    identity: &Identity,
    keys: &EncryptionKeys,
    epoch: &str,
) -> Result<(), StoreError> {
    create_with(file, epoch, &|write| {
        adopt_identity(write, identity, keys).map(drop)
    })
}

/// Creates the target of a copy, which no gateway may use before the copy is finished.
pub(super) fn create_target(file: &Path, epoch: &str) -> Result<(), StoreError> {
    let created = CopyMark {
        role: CopyRole::Copying,
        id: String::new(),
        peer: "another store".to_owned(),
    };
    let facts = created.facts(&Facts::new());
    create_with(file, epoch, &|write| {
        write_identity(write, &facts).map_err(failure)
    })
}

fn create_with(
    file: &Path,
    epoch: &str,
    identify: &dyn Fn(&WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let problem =
        |error: &dyn std::fmt::Display| unusable(file, &format!("cannot be created: {error}"));
    let folder = folder_of(file);
    fs::create_dir_all(folder).map_err(|error| problem(&error))?;
    // Serializes creators. Without locks, the link below still never overwrites.
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
        identify(&write)?;
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
        // Without hard links, only the creator's lock prevents an overwrite.
        Err(_) if !file.try_exists()? => fs::rename(made, file),
        Err(error) => Err(error),
    }
}
