//! Reads records.

use std::sync::Arc;

use redis::Cmd;

use super::store::RedisStore;
use crate::{
    store::StoreError,
    transaction::{Transaction, TransactionKey},
};

impl RedisStore {
    /// Loads a record.
    pub(super) async fn load_record(
        &self,
        key: &TransactionKey,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let get = Cmd::hget(self.keys(key).record, "body");
        let bytes: Option<Vec<u8>> = self.query(&get).await?;
        match bytes {
            Some(bytes) => self.codec.decode_record(key, &bytes).map(Some),
            // A second call, so that what has a record, the usual case, costs none. Records are
            // never stored again under a tombstone, so the order of the two reads does not matter.
            None => match self.read_tombstone(key).await? {
                Some(tombstone) => Err(StoreError::Retired(tombstone)),
                None => Ok(None),
            },
        }
    }
}
