//! Failures of Redis as failures of the store.

use redis::RedisError;

use crate::store::StoreError;

/// Maps a failure of the client or the server.
pub(super) fn failure(error: &RedisError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
