//! Reads records, and keeps the index of trace codes.

use std::sync::Arc;

use super::{
    error::failure,
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{RECORDS, TRACES},
    tombstones::read_tombstone,
};
use crate::{
    store::{StoreError, key::parse_key},
    transaction::{AccountName, TraceCode, Transaction, TransactionKey},
};

impl RedbStore {
    /// Loads a record.
    pub(super) async fn load_record(
        &self,
        key: &TransactionKey,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let (key, codec) = (key.clone(), Arc::clone(&self.codec));
        self.read(move |read| {
            let table = read.open_table(RECORDS).map_err(failure)?;
            let row = table.get(key.as_str()).map_err(failure)?;
            match row {
                Some(row) => {
                    let row = StoredRecord::read(row.value());
                    codec.decode_record(&key, row.body).map(Some)
                }
                None => match read_tombstone(read, &key)? {
                    Some(tombstone) => Err(StoreError::Retired(tombstone)),
                    None => Ok(None),
                },
            }
        })
        .await
    }

    /// Writes the entry of a trace code.
    pub(super) async fn set_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let (trace, key) = (format!("{account}:{trace_code}"), key.to_string());
        self.write(move |write| {
            let mut table = write.open_table(TRACES).map_err(failure)?;
            table
                .insert(trace.as_str(), key.as_str())
                .map_err(failure)?;
            Ok(())
        })
        .await
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
        let trace = format!("{account}:{trace_code}");
        self.write(move |write| {
            let mut table = write.open_table(TRACES).map_err(failure)?;
            table.remove(trace.as_str()).map_err(failure)?;
            Ok(())
        })
        .await
    }

    /// Reads the entry of a trace code.
    pub(super) async fn get_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let trace = format!("{account}:{trace_code}");
        self.read(move |read| {
            let table = read.open_table(TRACES).map_err(failure)?;
            let key = table.get(trace.as_str()).map_err(failure)?;
            key.map(|key| parse_key(key.value())).transpose()
        })
        .await
    }
}
