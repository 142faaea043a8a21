//! The [`Store`] trait; [`super`] documents its contract.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    commit::Commit,
    cursor::Cursor,
    due::{Due, DueCheck, Lease, Unindexed},
    epoch::{EpochReading, Seal, Seals},
    error::StoreError,
    events::{Events, History},
    identity::KnownAccounts,
    listing::{Listing, ListingEntry, OldestListing},
    notes::{BoundedList, CasResult, Expiry, ItemTexts, LIST_MAX, NoteTexts},
    notification::Wake,
    part_fault::PartFault,
    tombstone::{Retirement, SweptTombstones, Tombstone},
};
use crate::transaction::{
    AccountName, AttemptToken, Change, TraceCode, Transaction, TransactionKey,
};

/// A store of transactions, notes and lists.
#[async_trait]
pub trait Store: Send + Sync {
    /// Commits a change if the stored version is its base version and, when `epoch` is given, the
    /// store is in that epoch and carries that seal ([`super::epoch::parts_of`]).
    async fn commit(&self, change: &Change, epoch: Option<&str>) -> Result<Commit, StoreError>;

    /// Commits a change like [`Store::commit`], and reads notes as they are after the commit took
    /// effect, without a further round trip. `None` where this store, or the fault of a read, does
    /// not allow that: read the notes then. An error is one of the commit.
    async fn commit_and_read(
        &self,
        change: &Change,
        epoch: Option<&str>,
        _notes: &[String],
    ) -> Result<(Commit, Option<NoteTexts>), StoreError> {
        Ok((self.commit(change, epoch).await?, None))
    }

    /// Waits until the attempt that is stored for a transaction is as safe from a failover as a
    /// claim that was committed. Returns false when the stored attempt has another token.
    async fn acknowledge(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<bool, StoreError>;

    /// Returns the replication epoch. Returns `known` where the store is still in it.
    async fn epoch(&self, known: Option<&str>) -> Result<EpochReading, StoreError>;

    /// Loads a transaction; `None` when there is none.
    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError>;

    /// Returns the events of a transaction with a revision greater than `after`.
    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError>;

    /// Returns the checks of these accounts that are due at `now`: up to about `limit` requested
    /// and `limit` scheduled ones for each account. Cheap while nothing is due.
    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError>;

    /// Returns a page, counted from 0, of the transactions that are due at `now` and missing from
    /// the indexes of these accounts: those of other accounts, and those that an earlier release
    /// stored.
    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError>;

    /// Acquires the lease on a check that is due at `now`, and returns the stored transaction;
    /// `None` when the check is not due or another holder has the lease.
    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError>;

    /// Subscribes to changes: calls `wake` with [`super::Notification::Listening`] once the
    /// subscription is up, then with the key and version of every change that any process
    /// commits. Notifications may be lost: read the store for the current state. Returns when the
    /// connection breaks, which never happens with a store of one process.
    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError>;

    /// Indexes a trace code of an account by the transaction that it belongs to.
    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError>;

    /// Replaces the events of an erased transaction by their erased forms, and returns how many it
    /// replaced. Their revisions, numbers and positions stay. Idempotent: repeat it after a failure.
    async fn erase_events(&self, of: &Transaction) -> Result<u64, StoreError>;

    /// Finds the transaction of a trace code.
    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError>;

    /// Removes the entry of a trace code, if it names this transaction.
    async fn unindex_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError>;

    /// Lists the newest transactions of one state from an index. The index may be stale: verify
    /// each entry against its record.
    async fn list(&self, listing: &Listing) -> Result<Vec<ListingEntry>, StoreError>;

    /// Lists the oldest transactions of one state in one partition from the same index.
    async fn oldest(&self, listing: &OldestListing) -> Result<Vec<ListingEntry>, StoreError>;

    /// Counts the transactions in a state by the same index, accepted at or after `from_ms`
    /// and before `to_ms`, in Unix milliseconds.
    async fn count(&self, state: &'static str, from_ms: i64, to_ms: i64)
    -> Result<u64, StoreError>;

    /// Returns the cursor after the newest event of every partition.
    async fn events_head(&self) -> Result<Cursor, StoreError>;

    /// Returns the next events after a cursor, bounded in number.
    async fn events_after(&self, cursor: &Cursor) -> Result<Events, StoreError> {
        let all: Vec<usize> = (0..cursor.positions.len()).collect();
        self.events_in(cursor, &all).await
    }

    /// Returns the next events after a cursor in these partitions, bounded in number; other
    /// partitions are not read.
    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError>;

    /// Returns the partition of a transaction's events, as an index of [`Cursor::positions`].
    fn partition_of(&self, key: &TransactionKey) -> usize;

    /// Returns the number of partitions.
    fn partitions(&self) -> usize;

    /// Returns true when records may end in this store: every release that may use it knows
    /// tombstones, so none of them buys under a retired reference code.
    fn ends_records(&self) -> bool;

    /// Returns the time of the clock of the server that holds a partition; `None` for a store
    /// whose only clock is the one of this machine.
    async fn clock(&self, partition: usize) -> Result<Option<Timestamp>, StoreError>;

    /// Deletes a record, if the stored version is `last`, and stores its tombstone if there is one.
    /// Safe to retry.
    async fn retire(
        &self,
        last: &Transaction,
        tombstone: Option<&Tombstone>,
    ) -> Result<Retirement, StoreError>;

    /// Removes the tombstones of transactions that changed for the last time before a day, counted
    /// from 1970, in a part of the store that takes little time. `from` is the place to continue
    /// at, from the last result.
    async fn sweep_tombstones(
        &self,
        before_day: i64,
        from: Option<&str>,
    ) -> Result<SweptTombstones, StoreError>;

    /// Removes some of the events of a partition that are older than `store.event_retention` at
    /// `now`, oldest first, and returns their number; 0 when none of them is left that can be removed.
    /// Commits remove old events as well, but none comes to a partition that is no longer used.
    async fn trim_events(&self, partition: usize, now: Timestamp) -> Result<u64, StoreError>;

    /// Reads a note.
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Compares and sets a note: writes `to` if the note holds `from`. `None` stands for no note.
    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        expiry: Expiry,
    ) -> Result<CasResult, StoreError>;

    /// Returns the seal of each partition.
    async fn seals(&self) -> Result<Seals, StoreError>;

    /// Compares and sets the seal of each partition: `id` replaces the seal in `from`. Leaves a
    /// partition unchanged if another process changed it, or if its seal in `from` is unknown. Partitions are written one by one, so a
    /// failure is indeterminate for a store with several.
    async fn seal(&self, from: &[Seal], id: &str, expiry: Expiry) -> Result<(), StoreError>;

    /// Appends an item to a list, and returns the oldest items, which it removed to keep the list
    /// within [`LIST_MAX`].
    async fn push(&self, list: BoundedList, item: &str) -> Result<Vec<String>, StoreError>;

    /// Returns the items of a list, newest first. Fails if one of them cannot be decrypted.
    async fn items(&self, list: BoundedList) -> Result<Vec<String>, StoreError> {
        let items = self.items_from(list, 0, LIST_MAX).await?;
        let items = items
            .into_iter()
            .map(|item| item.map_err(|item| item.error));
        items.collect()
    }

    /// Returns up to `limit` items of a list, newest first, after the newest `start`.
    async fn items_from(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<ItemTexts, StoreError>;

    /// Returns the oldest item of a list; one that cannot be decrypted as it is stored, which is the
    /// text of no item.
    async fn oldest_item(&self, list: BoundedList) -> Result<Option<String>, StoreError>;

    /// Removes the oldest item of a list, if it is this one. Returns true when it was removed.
    async fn remove_oldest(&self, list: BoundedList, item: &str) -> Result<bool, StoreError>;

    /// Returns every account name that the store has been used with.
    async fn account_names(&self) -> Result<KnownAccounts, StoreError>;

    /// Counts the processes that are subscribed to changes, this one included; `None` for a store
    /// that no other process can use. Subscribers of a store that looks new show that it was
    /// emptied while in use.
    async fn listeners(&self) -> Result<Option<u64>, StoreError>;

    /// Verifies that the store responds, accepts writes and is usable (promise 10). Restores
    /// missing identity facts. Returns the parts of a store on several servers that do not, while
    /// others do.
    async fn verify(&self) -> Result<Vec<PartFault>, StoreError>;
}
