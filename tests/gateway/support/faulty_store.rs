//! A store that fails on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    ambient::Ambient,
    store::{
        BoundedList, CasResult, Commit, Cursor, Due, DueCheck, Events, Expiry, History, ItemTexts,
        KnownAccounts, Lease, Listing, ListingEntry, NoteTexts, OldestListing, PartFault,
        Retirement, Store, StoreError, SweptTombstones, Tombstone, Unindexed, Wake,
        epoch::{EpochReading, Seal, Seals},
        redb::RedbStore,
    },
    transaction::{AccountName, AttemptToken, Change, TraceCode, Transaction, TransactionKey},
};
use tokio::sync::Notify;

/// A fault of the next commit or load.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// No fault.
    None,
    /// Indeterminate: the commit is stored, and its reply is lost.
    ReplyLost,
    /// Indeterminate: the commit is not stored.
    NotStored,
    /// Determinate: the commit is refused.
    Refused,
    /// A load fails.
    LoadFails,
    /// The commit waits until the test releases it, and is stored then.
    Late,
    /// The commit fails, and the test stores it later.
    Delayed,
}

/// Counts round trips: calls that began before any of them had ended are one.
#[derive(Default)]
pub struct RoundTrips(Mutex<(usize, usize)>);

impl RoundTrips {
    /// Begins a call, and returns the number of its round trip.
    fn begin(&self) -> usize {
        let mut state = self.0.lock().unwrap();
        let number = state.0 + 1;
        state.1 = state.1.max(number);
        number
    }

    /// Ends a call: those that begin later are of a later round trip.
    fn end(&self, number: usize) {
        let mut state = self.0.lock().unwrap();
        state.0 = state.0.max(number);
    }

    /// Runs a call. Others that are ready to begin do so before it can end.
    async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let number = self.begin();
        tokio::task::yield_now().await;
        let done = call.await;
        self.end(number);
        done
    }

    /// Returns the number of round trips since the last call.
    pub fn take(&self) -> usize {
        std::mem::take(&mut *self.0.lock().unwrap()).1
    }
}

pub struct FaultyStore {
    pub inner: RedbStore,
    /// The round trips of the calls that a purchase makes.
    pub round_trips: RoundTrips,
    pub commits: Mutex<VecDeque<Fault>>,
    pub loads: Mutex<VecDeque<Fault>>,
    /// Releases late calls.
    pub go_on: Notify,
    /// Signals that a late call waits.
    pub waiting: Notify,
    /// The name of the method whose next call is late.
    pub late: Mutex<Option<&'static str>>,
    /// Makes the verification fail.
    pub is_unfit: AtomicBool,
    /// The delayed commit.
    pub delayed: Mutex<Option<Change>>,
    /// The time by which the clock of the store is ahead of this machine's; `None` for no clock.
    pub clock_ahead: Mutex<Option<SignedDuration>>,
    /// The number of reads of that clock, and of notes.
    pub clock_reads: AtomicUsize,
    pub note_reads: AtomicUsize,
    /// The end of each note, as last written.
    pub note_ends: Mutex<BTreeMap<String, Timestamp>>,
    /// Records may end.
    pub ends_records: AtomicBool,
}

impl FaultyStore {
    /// Commits, or fails as the test wants.
    async fn commit_or_fail(
        &self,
        change: &Change,
        history: Option<&str>,
    ) -> Result<Commit, StoreError> {
        let fault = self.commits.lock().unwrap().pop_front();
        match fault {
            Some(Fault::ReplyLost) => self.inner.commit(change, history).await.and(Err(lost())),
            Some(Fault::Late) => {
                self.go_on.notified().await;
                self.inner.commit(change, history).await
            }
            None | Some(Fault::None) => self.inner.commit(change, history).await,
            Some(Fault::Delayed) => {
                *self.delayed.lock().unwrap() = Some(change.clone());
                Err(lost())
            }
            Some(Fault::Refused) => Err(StoreError::Unavailable("the test refuses it".to_owned())),
            Some(_) => Err(lost()),
        }
    }

    /// Commits, and reads notes after that, as a store does that needs no further round trip for it.
    async fn commit_then_read(
        &self,
        change: &Change,
        history: Option<&str>,
        notes: &[String],
    ) -> Result<(Commit, Option<NoteTexts>), StoreError> {
        let committed = self.commit_or_fail(change, history).await?;
        let mut texts = Vec::new();
        for name in notes {
            texts.push(self.inner.note(name).await?);
        }
        self.wait_if_late("commit_and_read").await;
        Ok((committed, Some(texts)))
    }

    /// Gives the store a clock that is ahead of this machine's by this time.
    pub fn set_clock_ahead(&self, ahead: Option<SignedDuration>) {
        *self.clock_ahead.lock().unwrap() = ahead;
    }

    /// Waits, once, if the test made this method late.
    pub async fn wait_if_late(&self, method: &'static str) {
        let is_late = self
            .late
            .lock()
            .unwrap()
            .take_if(|late| *late == method)
            .is_some();
        if is_late {
            self.waiting.notify_one();
            self.go_on.notified().await;
        }
    }
}

pub fn lost() -> StoreError {
    StoreError::Indeterminate("the test lost it".to_owned())
}

#[async_trait]
impl Store for FaultyStore {
    async fn acknowledge(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<bool, StoreError> {
        self.inner.acknowledge(key, token).await
    }

    async fn epoch(&self, known: Option<&str>) -> Result<EpochReading, StoreError> {
        self.wait_if_late("epoch").await;
        self.round_trips.count(self.inner.epoch(known)).await
    }
    async fn commit(&self, change: &Change, history: Option<&str>) -> Result<Commit, StoreError> {
        let committing = self.commit_or_fail(change, history);
        self.round_trips.count(committing).await
    }
    async fn commit_and_read(
        &self,
        change: &Change,
        history: Option<&str>,
        notes: &[String],
    ) -> Result<(Commit, Option<NoteTexts>), StoreError> {
        let committing = self.commit_then_read(change, history, notes);
        self.round_trips.count(committing).await
    }
    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.wait_if_late("load").await;
        let fault = self.loads.lock().unwrap().pop_front();
        if fault.is_some() {
            Err(lost())
        } else {
            self.round_trips.count(self.inner.load(key)).await
        }
    }
    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError> {
        self.inner.history(key, after).await
    }
    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        self.inner.due(now, accounts, limit).await
    }
    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        self.inner.unindexed(now, accounts, page).await
    }
    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.inner.lease_check(check, now, lease).await
    }
    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        self.inner.listen(wake).await
    }
    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace: &TraceCode,
    ) -> Result<(), StoreError> {
        let indexing = self.inner.index_trace(key, account, trace);
        self.round_trips.count(indexing).await
    }
    async fn erase_events(&self, of: &Transaction) -> Result<u64, StoreError> {
        self.inner.erase_events(of).await
    }
    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        self.inner.find_by_trace(account, trace).await
    }
    async fn unindex_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace: &TraceCode,
    ) -> Result<(), StoreError> {
        self.inner.unindex_trace(key, account, trace).await
    }
    async fn oldest(&self, listing: &OldestListing) -> Result<Vec<ListingEntry>, StoreError> {
        self.inner.oldest(listing).await
    }
    fn partitions(&self) -> usize {
        self.inner.partitions()
    }
    fn ends_records(&self) -> bool {
        self.ends_records.load(Ordering::SeqCst)
    }
    async fn clock(&self, partition: usize) -> Result<Option<Timestamp>, StoreError> {
        self.clock_reads.fetch_add(1, Ordering::SeqCst);
        let ahead = *self.clock_ahead.lock().unwrap();
        match ahead {
            Some(ahead) => Ok(Some((Ambient::system().now)() + ahead)),
            None => self.inner.clock(partition).await,
        }
    }
    async fn retire(
        &self,
        last: &Transaction,
        tombstone: Option<&Tombstone>,
    ) -> Result<Retirement, StoreError> {
        self.wait_if_late("retire").await;
        self.inner.retire(last, tombstone).await
    }
    async fn sweep_tombstones(
        &self,
        before_day: i64,
        from: Option<&str>,
    ) -> Result<SweptTombstones, StoreError> {
        self.inner.sweep_tombstones(before_day, from).await
    }
    async fn trim_events(&self, partition: usize, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.trim_events(partition, now).await
    }
    async fn oldest_item(&self, list: BoundedList) -> Result<Option<String>, StoreError> {
        self.inner.oldest_item(list).await
    }
    async fn remove_oldest(&self, list: BoundedList, item: &str) -> Result<bool, StoreError> {
        self.inner.remove_oldest(list, item).await
    }
    async fn list(&self, listing: &Listing) -> Result<Vec<ListingEntry>, StoreError> {
        self.inner.list(listing).await
    }
    async fn count(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        self.inner.count(state, from_ms, to_ms).await
    }
    async fn events_head(&self) -> Result<Cursor, StoreError> {
        self.inner.events_head().await
    }
    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError> {
        self.inner.events_in(cursor, partitions).await
    }
    fn partition_of(&self, key: &TransactionKey) -> usize {
        self.inner.partition_of(key)
    }
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.wait_if_late("note").await;
        self.note_reads.fetch_add(1, Ordering::SeqCst);
        self.round_trips.count(self.inner.note(name)).await
    }
    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        keep: Expiry,
    ) -> Result<CasResult, StoreError> {
        let putting = self.inner.put_note(name, from, to, keep);
        let put = self.round_trips.count(putting).await;
        if matches!(put, Ok(CasResult::Done)) {
            let mut ends = self.note_ends.lock().unwrap();
            ends.insert(name.to_owned(), keep.until);
        }
        put
    }
    async fn seals(&self) -> Result<Seals, StoreError> {
        self.inner.seals().await
    }
    async fn seal(&self, from: &[Seal], id: &str, keep: Expiry) -> Result<(), StoreError> {
        self.inner.seal(from, id, keep).await
    }
    async fn push(&self, list: BoundedList, item: &str) -> Result<Vec<String>, StoreError> {
        self.inner.push(list, item).await
    }
    async fn items_from(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<ItemTexts, StoreError> {
        self.inner.items_from(list, start, limit).await
    }
    async fn account_names(&self) -> Result<KnownAccounts, StoreError> {
        self.inner.account_names().await
    }
    async fn listeners(&self) -> Result<Option<u64>, StoreError> {
        self.inner.listeners().await
    }
    async fn verify(&self) -> Result<Vec<PartFault>, StoreError> {
        if self.is_unfit.load(Ordering::SeqCst) {
            return Err(lost());
        }
        self.inner.verify().await
    }
}
