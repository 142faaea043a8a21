//! A wrapper that traces and measures the calls of a store.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use opentelemetry_semantic_conventions::attribute::{
    DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE, OTEL_STATUS_CODE,
};
use tracing::{Instrument, Span, info_span};

use super::metrics::Metrics;
use crate::{
    store::{
        BoundedList, CasResult, Commit, Cursor, Due, DueCheck, Events, Expiry, History, ItemTexts,
        KnownAccounts, Lease, Listing, ListingEntry, NoteTexts, OldestListing, PartFault,
        Retirement, Store, StoreError, SweptTombstones, Tombstone, Unindexed, Wake,
        epoch::{EpochReading, Seal, Seals},
    },
    transaction::{AccountName, AttemptToken, Change, TraceCode, Transaction, TransactionKey},
};

/// A store that measures every call of the store it wraps.
pub struct MeasuredStore {
    inner: Arc<dyn Store>,
    system: &'static str,
    metrics: Metrics,
}

impl MeasuredStore {
    /// Wraps a store; `system` is its name in spans.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, system: &'static str, metrics: Metrics) -> Self {
        Self {
            inner,
            system,
            metrics,
        }
    }

    /// Creates a span as a child of the current one. Background work has no current span, and gets
    /// none.
    fn span(&self, operation: &'static str) -> Span {
        if Span::current().is_none() {
            return Span::none();
        }
        info_span!(
            "store",
            otel.name = operation,
            otel.kind = "client",
            { OTEL_STATUS_CODE } = tracing::field::Empty,
            { DB_SYSTEM_NAME } = self.system,
            { DB_OPERATION_NAME } = operation,
            { ERROR_TYPE } = tracing::field::Empty,
        )
    }
}

/// Returns the metric label of a method. Labels are stable: `epoch` keeps its former label,
/// `history_name`, and a commit has one label.
const fn label(method: &'static str) -> &'static str {
    match method.as_bytes() {
        b"epoch" => "history_name",
        b"commit_and_read" => "commit",
        _ => method,
    }
}

macro_rules! measured {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl Store for MeasuredStore {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$result, StoreError> {
                let began = Instant::now();
                let operation = label(stringify!($name));
                let span = self.span(operation);
                let done = self.inner.$name($($argument),*).instrument(span.clone()).await;
                // That a transaction was retired is an answer of the store, not a failure.
                let is_ok = done.as_ref().map_or_else(|error| error.tombstone().is_some(), |_| true);
                if !is_ok {
                    span.record(ERROR_TYPE, "store");
                    span.record(OTEL_STATUS_CODE, "ERROR");
                }
                self.metrics.store(operation, is_ok, began.elapsed());
                done
            })*

            fn partition_of(&self, key: &TransactionKey) -> usize {
                self.inner.partition_of(key)
            }

            fn partitions(&self) -> usize {
                self.inner.partitions()
            }

            fn ends_records(&self) -> bool {
                self.inner.ends_records()
            }

            // Not measured: it lasts as long as its connection.
            async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
                self.inner.listen(wake).await
            }
        }
    };
}

measured! {
    fn commit(change: &Change, history: Option<&str>) -> Commit;
    fn commit_and_read(change: &Change, history: Option<&str>, notes: &[String]) -> (Commit, Option<NoteTexts>);
    fn acknowledge(key: &TransactionKey, token: AttemptToken) -> bool;
    fn epoch(known: Option<&str>) -> EpochReading;
    fn load(key: &TransactionKey) -> Option<Arc<Transaction>>;
    fn history(key: &TransactionKey, after: u64) -> History;
    fn due(now: Timestamp, accounts: &[AccountName], limit: usize) -> Due;
    fn unindexed(now: Timestamp, accounts: &[AccountName], page: usize) -> Unindexed;
    fn lease_check(check: &DueCheck, now: Timestamp, lease: Lease) -> Option<Arc<Transaction>>;
    fn index_trace(key: &TransactionKey, account: &AccountName, trace_code: &TraceCode) -> ();
    fn erase_events(of: &Transaction) -> u64;
    fn find_by_trace(account: &AccountName, trace_code: &TraceCode) -> Option<TransactionKey>;
    fn unindex_trace(key: &TransactionKey, account: &AccountName, trace_code: &TraceCode) -> ();
    fn list(listing: &Listing) -> Vec<ListingEntry>;
    fn oldest(listing: &OldestListing) -> Vec<ListingEntry>;
    fn count(state: &'static str, from_ms: i64, to_ms: i64) -> u64;
    fn events_head() -> Cursor;
    fn events_in(cursor: &Cursor, partitions: &[usize]) -> Events;
    fn clock(partition: usize) -> Option<Timestamp>;
    fn retire(last: &Transaction, tombstone: Option<&Tombstone>) -> Retirement;
    fn sweep_tombstones(before_day: i64, from: Option<&str>) -> SweptTombstones;
    fn trim_events(partition: usize, now: Timestamp) -> u64;
    fn note(name: &str) -> Option<String>;
    fn put_note(name: &str, from: Option<&str>, to: &str, keep: Expiry) -> CasResult;
    fn seals() -> Seals;
    fn seal(from: &[Seal], id: &str, keep: Expiry) -> ();
    fn push(list: BoundedList, item: &str) -> Vec<String>;
    fn items_from(list: BoundedList, start: usize, limit: usize) -> ItemTexts;
    fn oldest_item(list: BoundedList) -> Option<String>;
    fn remove_oldest(list: BoundedList, item: &str) -> bool;
    fn account_names() -> KnownAccounts;
    fn listeners() -> Option<u64>;
    fn verify() -> Vec<PartFault>;
}
