//! Failures of redb as failures of the store: determinate or indeterminate.

use std::fmt::Display;

use crate::store::StoreError;

/// Maps a failure of redb before a commit: an uncommitted transaction writes nothing.
pub(super) fn failure(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable(error.into().to_string())
}

/// Maps a failure of a commit: its last byte may have been written.
pub(super) fn commit_failure(error: redb::CommitError) -> StoreError {
    StoreError::Indeterminate(redb::Error::from(error).to_string())
}

/// Maps the panic of a blocking call, which may have been in its commit.
pub(super) fn panic_failure(error: &dyn Display) -> StoreError {
    StoreError::Indeterminate(error.to_string())
}

#[cfg(test)]
mod tests {
    use redb::{CommitError, StorageError};

    use super::*;

    #[test]
    fn failure_is_determinate_only_before_the_commit() {
        assert!(!failure(StorageError::DatabaseClosed).is_indeterminate());
        let failed = commit_failure(CommitError::Storage(StorageError::DatabaseClosed));
        assert!(failed.is_indeterminate());
    }
}
