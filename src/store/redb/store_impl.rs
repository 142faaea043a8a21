//! The implementation of [`Store`], which calls the methods in the file of each subject.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::{RedbStore, blocking};
use crate::{
    store::{
        BoundedList, CasResult, Commit, Cursor, Due, DueCheck, Events, Expiry, History, ItemTexts,
        KnownAccounts, Lease, Listing, ListingEntry, Notification, OldestListing, PartFault,
        Retirement, Store, StoreError, SweptTombstones, Tombstone, Unindexed, Wake,
        epoch::{EpochReading, Seal, Seals},
    },
    transaction::{AccountName, AttemptToken, Change, TraceCode, Transaction, TransactionKey},
};

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, change: &Change, epoch: Option<&str>) -> Result<Commit, StoreError> {
        self.commit_change(change, epoch).await
    }

    async fn acknowledge(
        &self,
        _key: &TransactionKey,
        _token: AttemptToken,
    ) -> Result<bool, StoreError> {
        // There are no replicas.
        Ok(true)
    }

    async fn epoch(&self, _known: Option<&str>) -> Result<EpochReading, StoreError> {
        Ok(self.epoch.clone().into())
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
        let (source, leases) = (Arc::clone(&self.source), Arc::clone(&self.leases));
        let (check, codec) = (check.clone(), Arc::clone(&self.codec));
        let acquire =
            move || source.with(|database| leases.acquire(database, &check, now, lease, &codec));
        let acquired = self.within(blocking(acquire)).await;
        // A call that timed out may still acquire the lease.
        acquired.map_err(StoreError::into_indeterminate)
    }

    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        // Only this process commits changes, and it notifies its own waiters.
        wake(Notification::Listening);
        std::future::pending().await
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

    fn partition_of(&self, _key: &TransactionKey) -> usize {
        0
    }

    fn partitions(&self) -> usize {
        1
    }

    fn ends_records(&self) -> bool {
        self.codec.ends_records()
    }

    async fn clock(&self, _partition: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
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
        self.sweep_table(before_day, from).await
    }

    async fn trim_events(&self, _partition: usize, now: Timestamp) -> Result<u64, StoreError> {
        self.trim_old_events(now).await
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
        self.set_seal(from, id, expiry).await
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
        Ok(None)
    }

    async fn verify(&self) -> Result<Vec<PartFault>, StoreError> {
        self.verify_write().await.map(|()| Vec::new())
    }
}
