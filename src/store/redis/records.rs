//! Reads records, and keeps the index of trace codes.

use std::sync::Arc;

use redis::Cmd;

use super::store::RedisStore;
use crate::{
    store::{StoreError, key::parse_key, record},
    transaction::{AccountName, TraceCode, Transaction, TransactionKey},
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
            Some(bytes) => record::decode(key, &bytes).map(Some),
            // A second call, so that what has a record, the usual case, costs none. Records are
            // never stored again under a tombstone, so the order of the two reads does not matter.
            None => match self.read_tombstone(key).await? {
                Some(tombstone) => Err(StoreError::Retired(tombstone)),
                None => Ok(None),
            },
        }
    }

    /// Writes the entry of a trace code.
    pub(super) async fn set_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let set = Cmd::set(self.trace_key(account, trace_code), key.to_string());
        self.query(&set).await
    }

    /// Removes the entry of a trace code, if it names this transaction.
    pub(super) async fn remove_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        if self.get_trace(account, trace_code).await?.as_ref() != Some(key) {
            return Ok(());
        }
        let delete = Cmd::del(self.trace_key(account, trace_code));
        self.query(&delete).await
    }

    /// Reads the entry of a trace code.
    pub(super) async fn get_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let get = Cmd::get(self.trace_key(account, trace_code));
        let key: Option<String> = self.query(&get).await?;
        key.map(|key| parse_key(&key)).transpose()
    }
}
