//! The implementation of [`Store`], which calls the methods in the file of each subject.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::RedisStore;
use crate::{
    store::{
        BoundedList, CasResult, Commit, Cursor, Due, DueCheck, Events, Expiry, History, ItemTexts,
        KnownAccounts, Lease, Listing, ListingEntry, NoteTexts, OldestListing, PartFault,
        Retirement, Store, StoreError, SweptTombstones, Tombstone, Unindexed, Wake,
        epoch::{EpochReading, Seal, Seals},
    },
    transaction::{AccountName, AttemptToken, Change, TraceCode, Transaction, TransactionKey},
};

#[async_trait]
impl Store for RedisStore {
    async fn commit(&self, change: &Change, epoch: Option<&str>) -> Result<Commit, StoreError> {
        let (committed, _) = self.commit_change(change, epoch, &[]).await?;
        Ok(committed)
    }

    async fn commit_and_read(
        &self,
        change: &Change,
        epoch: Option<&str>,
        notes: &[String],
    ) -> Result<(Commit, Option<NoteTexts>), StoreError> {
        self.commit_change(change, epoch, notes).await
    }

    async fn acknowledge(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<bool, StoreError> {
        self.acknowledge_attempt(key, token).await
    }

    async fn epoch(&self, known: Option<&str>) -> Result<EpochReading, StoreError> {
        self.read_epoch(known).await
    }

    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.load_record(key).await
    }

    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError> {
        self.read_history(key, after).await
    }

    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.read_due(now, accounts, limit).await
    }

    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        self.read_unindexed(now, accounts, page).await
    }

    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.acquire_lease(check, now, lease).await
    }

    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        self.subscribe(wake).await
    }

    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        self.set_trace(key, account, trace_code).await
    }

    async fn erase_events(&self, of: &Transaction) -> Result<u64, StoreError> {
        match of.erasure() {
            Some(erasure) => self.replace_events(of, erasure).await,
            None => Ok(0),
        }
    }

    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        self.get_trace(account, trace_code).await
    }

    async fn unindex_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        self.remove_trace(key, account, trace_code).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<ListingEntry>, StoreError> {
        self.read_listing(listing).await
    }

    async fn oldest(&self, listing: &OldestListing) -> Result<Vec<ListingEntry>, StoreError> {
        self.read_oldest(listing).await
    }

    async fn count(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        self.count_listing(state, from_ms, to_ms).await
    }

    async fn events_head(&self) -> Result<Cursor, StoreError> {
        self.read_head().await
    }

    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError> {
        self.read_events(cursor, partitions).await
    }

    fn partition_of(&self, key: &TransactionKey) -> usize {
        self.keys(key).partition_index()
    }

    fn partitions(&self) -> usize {
        self.partition_count()
    }

    fn ends_records(&self) -> bool {
        self.codec.ends_records()
    }

    async fn clock(&self, partition: usize) -> Result<Option<Timestamp>, StoreError> {
        self.read_clock(partition).await.map(Some)
    }

    async fn retire(
        &self,
        last: &Transaction,
        tombstone: Option<&Tombstone>,
    ) -> Result<Retirement, StoreError> {
        self.retire_record(last, tombstone).await
    }

    async fn sweep_tombstones(
        &self,
        before_day: i64,
        from: Option<&str>,
    ) -> Result<SweptTombstones, StoreError> {
        self.sweep_buckets(before_day, from).await
    }

    async fn trim_events(&self, partition: usize, now: Timestamp) -> Result<u64, StoreError> {
        self.trim_stream(partition as u64, now).await
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read_note(name).await
    }

    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        expiry: Expiry,
    ) -> Result<CasResult, StoreError> {
        self.cas_note(name, from, to, expiry).await
    }

    async fn seals(&self) -> Result<Seals, StoreError> {
        self.read_seals().await
    }

    async fn seal(&self, from: &[Seal], id: &str, expiry: Expiry) -> Result<(), StoreError> {
        self.set_seals(from, id, expiry).await
    }

    async fn push(&self, list: BoundedList, item: &str) -> Result<Vec<String>, StoreError> {
        self.push_item(list, item).await
    }

    async fn items_from(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<ItemTexts, StoreError> {
        self.read_items(list, start, limit).await
    }

    async fn oldest_item(&self, list: BoundedList) -> Result<Option<String>, StoreError> {
        self.read_oldest_item(list).await
    }

    async fn remove_oldest(&self, list: BoundedList, item: &str) -> Result<bool, StoreError> {
        self.pop_oldest(list, item).await
    }

    async fn account_names(&self) -> Result<KnownAccounts, StoreError> {
        self.read_account_names().await
    }

    async fn listeners(&self) -> Result<Option<u64>, StoreError> {
        self.count_listeners().await
    }

    async fn verify(&self) -> Result<Vec<PartFault>, StoreError> {
        self.verify_all().await
    }
}
