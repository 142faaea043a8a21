//! Opening a shared store.

use super::{settings::RedisSettings, store::RedisStore};
use crate::store::{Identity, StoreError};

impl RedisStore {
    /// Connects, verifies that this Redis may be used, and adopts the identity.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, and
    /// [`StoreError::Unsuitable`] when it evicts keys or belongs to something else.
    pub async fn open(settings: RedisSettings, identity: &Identity) -> Result<Self, StoreError> {
        let store = Self::connect(settings)?;
        store.verify_policy().await?;
        store.adopt_identity(identity).await?;
        Ok(store)
    }
}
