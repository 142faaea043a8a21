//! Opens a shared store.

use super::{settings::RedisSettings, store::RedisStore};
use crate::store::{Identity, StoreError};

impl RedisStore {
    /// Connects, verifies that this Redis never evicts keys, and adopts the identity.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it is unreachable, and [`StoreError::Unsuitable`] when it
    /// may evict keys, or has another identity.
    pub async fn open(settings: RedisSettings, identity: &Identity) -> Result<Self, StoreError> {
        let store = Self::connect(settings)?;
        store.verify_policy().await?;
        store.adopt_identity(identity).await?;
        Ok(store)
    }

    /// Connects to the target of a copy, and verifies that it never evicts keys.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub(in crate::store) async fn open_target(settings: RedisSettings) -> Result<Self, StoreError> {
        let store = Self::connect(settings)?;
        store.verify_policy().await?;
        Ok(store)
    }
}
