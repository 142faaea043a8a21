//! The index of trace codes: `index_trace.lua` writes it, `find_trace.lua` reads it.
//!
//! In a store of schema 3 each trace code has a key of its own, as an earlier release expects.

use redis::Cmd;
use sha2::{Digest, Sha256};

use super::{
    script::{LuaScript, ScriptCall},
    store::RedisStore,
};
use crate::{
    store::{StoreError, key::parse_key, record::Form},
    transaction::{AccountName, TraceCode, TransactionKey},
};

impl RedisStore {
    /// Writes the entry of a trace code.
    pub(super) async fn set_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        if self.codec.form() == Form::Json {
            let set = Cmd::set(self.trace_key(account, trace_code), key.to_string());
            return self.query(&set).await;
        }
        let mut call = self.trace_call(&self.scripts.index_trace, account, trace_code);
        call.arg(key.to_string()).arg("");
        self.invoke(&call).await
    }

    /// Removes the entry of a trace code, if it names this transaction.
    pub(super) async fn remove_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let mut call = self.trace_call(&self.scripts.index_trace, account, trace_code);
        call.arg(key.to_string()).arg(1);
        self.invoke(&call).await
    }

    /// Reads the entry of a trace code.
    pub(super) async fn get_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let call = self.trace_call(&self.scripts.find_trace, account, trace_code);
        let key: Option<String> = self.invoke(&call).await?;
        key.map(|key| parse_key(&key)).transpose()
    }

    /// Builds the call of a script about a trace code. Every key has the hash tag of the trace
    /// code's own partition.
    fn trace_call<'a>(
        &self,
        script: &'a LuaScript,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> ScriptCall<'a> {
        let former = self.trace_key(account, trace_code);
        let field = format!("{account}:{trace_code}");
        let buckets = former.strip_suffix(&format!(":{field}"));
        let buckets = format!("{}s", buckets.unwrap_or(&former));
        let digest = Sha256::digest(&field);
        // The last 6 bytes: the first 8 choose the partition, so they would be alike in it.
        let hash = digest.iter().rev().take(6);
        let hash = hash.fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        let mut call = script.key(&buckets);
        call.key(former)
            .arg(field)
            .arg(format!("{buckets}:"))
            .arg(hash);
        call
    }
}

/// Returns true for the key of a bucket of trace codes, false for that of one trace code in schema 3.
pub(super) fn is_trace_bucket(key: &str) -> bool {
    let kind = key.split_once('}').map(|(_, kind)| kind);
    kind.is_some_and(|kind| kind.starts_with(":traces:"))
}
