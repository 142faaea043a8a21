//! Failures of redb as failures of the store.

use tokio::task::JoinError;

use crate::store::StoreError;

/// Maps a failure of redb.
pub(super) fn failure(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable(error.into().to_string())
}

/// Maps the panic of a blocking call.
pub(super) fn ended_badly(error: &JoinError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
