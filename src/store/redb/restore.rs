//! The restoration of a backup.

use std::{fs, path::Path};

use redb::DatabaseError;

use super::{
    file::{beside, is_in_use, require_whole, sync_folder},
    settings::RedbSettings,
    store::{RedbStore, blocking},
};
use crate::store::{Identity, RecordLoss, StoreError};

impl RedbStore {
    /// Replaces the store by the backup `<file>.restore`, if there is one, and keeps the former
    /// store as `<file>.replaced`. Records the loss in the backup first. Returns false when there
    /// is no backup.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the store or the backup is in use or unusable, or when
    /// `<file>.replaced` would be overwritten.
    pub async fn restore(
        file: &Path,
        identity: &Identity,
        settings: RedbSettings,
        record_loss: RecordLoss<'_>,
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
                "{} is not a complete store: copy the backup there again, or remove it",
                backup.display()
            )));
        }
        let backed_up = Self::open_restored(&backup, identity, settings).await?;
        record_loss(&backed_up).await?;
        drop(backed_up);
        let file = file.to_owned();
        blocking(move || {
            let problem = |error: &dyn std::fmt::Display| {
                StoreError::Unsuitable(format!("{} cannot be restored: {error}", file.display()))
            };
            if file.exists() {
                // A damaged store may be replaced, a store in use may not.
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
}
