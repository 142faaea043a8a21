//! Health checks of Redis, and the number of subscribers.

use std::time::Duration;

use super::{server_info::info, store::RedisStore, subscription::WAKE_CHANNEL};
use crate::store::StoreError;

/// The key that each verification writes, and its lifetime.
const VERIFY_KEY: &str = "okb:verify";
const VERIFY_KEPT: Duration = Duration::from_mins(1);

impl RedisStore {
    /// Verifies that Redis never evicts a key.
    pub(super) async fn verify_policy(&self) -> Result<(), StoreError> {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let memory: String = self.query(&ask).await?;
        match info(&memory, "maxmemory_policy") {
            "noeviction" => Ok(()),
            policy => Err(StoreError::Unsuitable(format!(
                "Redis has maxmemory-policy {policy:?}, so it may evict records; set \
                 maxmemory-policy noeviction"
            ))),
        }
    }

    /// Verifies the policy, the identity, and that the server accepts writes.
    pub(super) async fn verify_all(&self) -> Result<(), StoreError> {
        self.verify_policy().await?;
        self.restore_identity().await?;
        // Only a write detects a read-only replica, a full disk or memory, or too few replicas.
        let mut set = redis::cmd("SET");
        set.arg(VERIFY_KEY)
            .arg(1)
            .arg("PX")
            .arg(VERIFY_KEPT.as_millis().to_string());
        let written = self.query(&set).await;
        // The write of the identity may have happened.
        written.map_err(StoreError::into_indeterminate)
    }

    /// Counts the subscribers to changes.
    pub(super) async fn count_listeners(&self) -> Result<Option<u64>, StoreError> {
        let mut count = redis::cmd("PUBSUB");
        count.arg("NUMSUB").arg(WAKE_CHANNEL);
        let (_, count): (String, u64) = self.query(&count).await?;
        Ok(Some(count))
    }
}
