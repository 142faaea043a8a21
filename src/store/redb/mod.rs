//! The embedded store: one file, one process, every commit on disk before it
//! returns. For development, tests and installations of one replica.
//!
//! # Time-outs
//!
//! A call that blocks in the file system cannot be aborted: when it times out, its thread
//! goes on. One write runs at a time, and what times out while it waits for its turn never
//! runs. A write that times out later is an indeterminate result.
//!
//! SUBTLE: the read-back of such a write must not overtake it:
//!
//! 1. a claim's commit hangs in `fsync` and times out: `Unavailable`;
//! 2. the read-back finds nothing, and the claim is taken for one that was not stored;
//! 3. the commit ends: a claim is stored that nobody gives up.
//!
//! So every read that begins after step 1 waits for the end of that write, or fails as well.

mod due;
mod keeper;
mod look;
mod notes;
mod open;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::{Semaphore, watch};

use keeper::Keeper;

use super::{
    Commit, Cursor, Due, DueCheck, Event, Events, Heard, History, Keep, KnownAccounts, Lease, List,
    Listed, Listing, Position, Put, Store, StoreError, Unindexed, Wake,
    guard::{Seals, split_epoch_name},
    identity, record,
};
use crate::transaction::{AccountName, Change, TraceCode, Transaction, TransactionKey};

/// Key -> record.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// (key, revision) -> record as of that revision.
const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
/// (due, key), in the order in which they fall due; times in Unix milliseconds.
const DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due");
/// Key -> its due time, to find it in `DUE`.
const DUE_OF: TableDefinition<'_, &str, i64> = TableDefinition::new("due_of");
/// account:trace code -> key.
const TRACES: TableDefinition<'_, &str, &str> = TableDefinition::new("traces");
/// Number of the event, counted from 1 -> (key, revision).
const LOG: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("log");
/// (state, accepted in Unix milliseconds, key).
const LISTING: TableDefinition<'_, (&str, i64, &str), ()> = TableDefinition::new("listing");
/// Fact -> value.
const IDENTITY: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");

/// What each verification writes.
const VERIFIED: TableDefinition<'_, &str, u64> = TableDefinition::new("verified");

/// How an embedded store is opened and used.
#[derive(Clone, Copy, Debug)]
pub struct RedbSettings {
    /// The longest one call may take.
    pub timeout: Duration,
    /// Refuse to make a store where there is none.
    pub must_exist: bool,
}

impl Default for RedbSettings {
    /// Returns the settings of a command, which nobody waits for.
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            must_exist: false,
        }
    }
}

/// The most reads at once; further ones wait.
const READS_MAX: usize = 64;

/// The embedded store.
pub struct RedbStore {
    keeper: Arc<Keeper>,
    epoch: String,
    timeout: Duration,
    reading: Arc<Semaphore>,
    /// redb has one writer at a time: others wait here, where they can be given up.
    writing: Arc<Semaphore>,
    /// How many writes timed out and are still running.
    late: watch::Sender<usize>,
    leases: Arc<due::Leases>,
}

impl RedbStore {
    fn new(keeper: Keeper, epoch: String, timeout: Duration) -> Self {
        Self {
            keeper: Arc::new(keeper),
            epoch,
            timeout,
            reading: Arc::new(Semaphore::new(READS_MAX)),
            writing: Arc::new(Semaphore::new(1)),
            late: watch::Sender::new(0),
            leases: Arc::default(),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let keeper = Arc::clone(&self.keeper);
        let reading = async {
            let mut late = self.late.subscribe();
            // The sender lives as long as `self`.
            let _ = late.wait_for(|late| *late == 0).await;
            let slot = Arc::clone(&self.reading).acquire_owned().await;
            blocking(move || {
                let _slot = slot;
                keeper.with(|database| work(&database.begin_read().map_err(unavailable)?))
            })
            .await
        };
        self.within(reading).await
    }

    /// Runs `work` in one transaction, committed and synced when it returns `Ok`.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ends = tokio::time::Instant::now() + self.timeout;
        let turn = Arc::clone(&self.writing).acquire_owned();
        let Ok(turn) = tokio::time::timeout_at(ends, turn).await else {
            return Err(self.timed_out());
        };
        let keeper = Arc::clone(&self.keeper);
        let mut writing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            keeper.with(|database| {
                let write = database.begin_write().map_err(unavailable)?;
                let done = work(&write)?;
                write.commit().map_err(unavailable)?;
                Ok(done)
            })
        });
        if let Ok(done) = tokio::time::timeout_at(ends, &mut writing).await {
            return done.unwrap_or_else(|error| Err(ended_badly(&error)));
        }
        // Counted before its caller learns of the time-out: see the head of this module.
        self.late.send_modify(|late| *late += 1);
        let late = self.late.clone();
        tokio::spawn(async move {
            drop(writing.await);
            late.send_modify(|late| *late -= 1);
        });
        Err(self.timed_out())
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let done = tokio::time::timeout(self.timeout, call).await;
        done.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> StoreError {
        let timeout = self.timeout;
        StoreError::Unavailable(format!("the disk did not answer within {timeout:?}"))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ended_badly(&error)))
}

fn ended_badly(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn unavailable(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable(error.into().to_string())
}

fn save(
    write: &WriteTransaction,
    key: &str,
    stored: Option<&Transaction>,
    transaction: &Transaction,
    body: &[u8],
    is_event: bool,
) -> Result<(), redb::Error> {
    write.open_table(RECORDS)?.insert(key, body)?;
    if is_event {
        let revision = transaction.revision();
        write.open_table(EVENTS)?.insert((key, revision), body)?;
        let mut log = write.open_table(LOG)?;
        let number = log.last()?.map_or(0, |(number, _)| number.value()) + 1;
        log.insert(number, (key, revision))?;
    }
    let mut listing = write.open_table(LISTING)?;
    if let Some(stored) = stored {
        let (state, listed) = record::listed(stored);
        listing.remove((state, listed.created_ms, key))?;
    }
    let (state, listed) = record::listed(transaction);
    listing.insert((state, listed.created_ms, key), ())?;
    due::set_due(write, key, transaction)
}

fn count_verification(write: &WriteTransaction) -> Result<(), redb::Error> {
    let mut verified = write.open_table(VERIFIED)?;
    let count = verified.get("count")?.map_or(0, |count| count.value());
    verified.insert("count", count.wrapping_add(1))?;
    Ok(())
}

/// The most events read at a time.
const EVENTS_MAX: usize = 256;

fn position(number: u64) -> Position {
    Position { id: (0, 0), number }
}

#[async_trait]
impl Store for RedbStore {
    async fn history_name(&self, _known: Option<&str>) -> Result<String, StoreError> {
        Ok(self.epoch.clone())
    }

    async fn commit(&self, change: &Change, history: Option<&str>) -> Result<Commit, StoreError> {
        let named = history.map(split_epoch_name);
        if named.is_some_and(|(history, _)| history != self.epoch) {
            return Ok(Commit::OtherHistory);
        }
        let seal = named.map_or("", |(_, seal)| seal).to_owned();
        let Change {
            transaction,
            from,
            is_event,
            releases,
        } = change.clone();
        let body = record::encode(&transaction)?;
        let name = transaction.key().to_string();
        let leased = name.clone();
        let committed = self
            .write(move |write| {
                let is_sealed = || notes::seal(write).map(|borne| borne.as_deref() == Some(&*seal));
                if !seal.is_empty() && !is_sealed().map_err(unavailable)? {
                    return Ok(Commit::OtherHistory);
                }
                let key = transaction.key();
                let stored = {
                    let table = write.open_table(RECORDS).map_err(unavailable)?;
                    let bytes = table.get(name.as_str()).map_err(unavailable)?;
                    bytes
                        .map(|bytes| record::decode(&key, bytes.value()))
                        .transpose()?
                };
                if stored.as_ref().map(|stored| stored.base()) != from {
                    return Ok(Commit::Conflict(stored));
                }
                save(
                    write,
                    &name,
                    stored.as_deref(),
                    &transaction,
                    &body,
                    is_event,
                )
                .map_err(unavailable)?;
                Ok(Commit::Done)
            })
            .await?;
        if let (Commit::Done, Some(lease)) = (&committed, releases) {
            self.leases.release(&leased, lease);
        }
        Ok(committed)
    }

    async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        let key = key.clone();
        self.read(move |read| {
            let table = read.open_table(RECORDS).map_err(unavailable)?;
            let bytes = table.get(key.to_string().as_str()).map_err(unavailable)?;
            bytes
                .map(|bytes| record::decode(&key, bytes.value()))
                .transpose()
        })
        .await
    }

    async fn history(&self, key: &TransactionKey, after: u64) -> Result<History, StoreError> {
        let key = key.clone();
        self.read(move |read| {
            let name = key.to_string();
            let table = read.open_table(EVENTS).map_err(unavailable)?;
            let range = (name.as_str(), after.saturating_add(1))..=(name.as_str(), u64::MAX);
            let mut events = Vec::new();
            for entry in table.range(range).map_err(unavailable)? {
                let (_, bytes) = entry.map_err(unavailable)?;
                events.push(record::decode(&key, bytes.value())?);
            }
            Ok(History::Complete(events))
        })
        .await
    }

    async fn due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        let (accounts, leases) = (accounts.to_vec(), Arc::clone(&self.leases));
        self.read(move |read| due::due(read, &leases, now, &accounts, limit))
            .await
    }

    async fn unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        let accounts = accounts.to_vec();
        self.read(move |read| due::unindexed(read, now, &accounts, page))
            .await
    }

    async fn lease_check(
        &self,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let (keeper, leases) = (Arc::clone(&self.keeper), Arc::clone(&self.leases));
        let check = check.clone();
        let acquire = move || keeper.with(|database| leases.acquire(database, &check, now, lease));
        self.within(blocking(acquire)).await
    }

    async fn listen(&self, wake: Wake<'_>) -> Result<(), StoreError> {
        // Every change is made by this process, which notifies its own waiters.
        wake(Heard::Listening);
        std::future::pending().await
    }

    async fn index_trace(
        &self,
        key: &TransactionKey,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let (trace, key) = (format!("{account}:{trace_code}"), key.to_string());
        self.write(move |write| {
            let mut table = write.open_table(TRACES).map_err(unavailable)?;
            table
                .insert(trace.as_str(), key.as_str())
                .map_err(unavailable)?;
            Ok(())
        })
        .await
    }

    async fn find_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<TransactionKey>, StoreError> {
        let trace = format!("{account}:{trace_code}");
        self.read(move |read| {
            let table = read.open_table(TRACES).map_err(unavailable)?;
            let key = table.get(trace.as_str()).map_err(unavailable)?;
            key.map(|key| record::parse_key(key.value())).transpose()
        })
        .await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Listed>, StoreError> {
        let listing = listing.clone();
        self.read(move |read| {
            let table = read.open_table(LISTING).map_err(unavailable)?;
            let from = (listing.state, listing.from.as_millisecond(), "");
            let after = &listing.after;
            let to = (listing.state, after.created_ms, after.name.as_str());
            if from >= to {
                return Ok(Vec::new());
            }
            let mut found = Vec::new();
            for entry in table
                .range(from..to)
                .map_err(unavailable)?
                .rev()
                .take(listing.limit)
            {
                let (entry, ()) = entry.map(|(key, _)| (key, ())).map_err(unavailable)?;
                let (_, created_ms, name) = entry.value();
                let name = name.to_owned();
                found.push(Listed { created_ms, name });
            }
            Ok(found)
        })
        .await
    }

    async fn count(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        if from_ms >= to_ms {
            return Ok(0);
        }
        self.read(move |read| {
            let table = read.open_table(LISTING).map_err(unavailable)?;
            let found = table
                .range((state, from_ms, "")..(state, to_ms, ""))
                .map_err(unavailable)?;
            Ok(found.count() as u64)
        })
        .await
    }

    async fn events_head(&self) -> Result<Cursor, StoreError> {
        let epoch = self.epoch.clone();
        self.read(move |read| {
            let log = read.open_table(LOG).map_err(unavailable)?;
            let last = log.last().map_err(unavailable)?;
            let number = last.map_or(0, |(number, _)| number.value());
            Ok(Cursor {
                epoch,
                positions: vec![position(number)],
            })
        })
        .await
    }

    fn partition_of(&self, _key: &TransactionKey) -> usize {
        0
    }

    async fn events_in(&self, cursor: &Cursor, partitions: &[usize]) -> Result<Events, StoreError> {
        if partitions.is_empty() {
            return Ok(Events::Next(Vec::new()));
        }
        let &[Position { number: seen, .. }] = cursor.positions.as_slice() else {
            return Ok(Events::OutOfRange);
        };
        if cursor.epoch != self.epoch {
            return Ok(Events::OutOfRange);
        }
        self.read(move |read| {
            let log = read.open_table(LOG).map_err(unavailable)?;
            let bodies = read.open_table(EVENTS).map_err(unavailable)?;
            let last = log.last().map_err(unavailable)?;
            if last.map_or(0, |(number, _)| number.value()) < seen {
                return Ok(Events::OutOfRange);
            }
            let mut events = Vec::new();
            let next = log.range(seen + 1..).map_err(unavailable)?;
            for entry in next.take(EVENTS_MAX) {
                let (number, event) = entry.map_err(unavailable)?;
                let Some(body) = bodies.get(event.value()).map_err(unavailable)? else {
                    return Ok(Events::OutOfRange);
                };
                let key = record::parse_key(event.value().0)?;
                events.push(Event {
                    transaction: record::decode(&key, body.value())?,
                    partition: 0,
                    position: position(number.value()),
                });
            }
            Ok(Events::Next(events))
        })
        .await
    }

    async fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.read(move |read| notes::read(read, &name).map_err(unavailable))
            .await
    }

    async fn put_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        keep: Keep,
    ) -> Result<Put, StoreError> {
        let (name, from, to) = (name.to_owned(), from.map(str::to_owned), to.to_owned());
        self.write(move |write| {
            notes::put(write, &name, from.as_deref(), &to, keep).map_err(unavailable)
        })
        .await
    }

    async fn seals(&self) -> Result<Seals, StoreError> {
        self.read(|read| notes::read(read, notes::SEAL).map_err(unavailable))
            .await
            .map(|seal| vec![seal])
    }

    async fn seal(&self, from: &[Option<String>], id: &str, keep: Keep) -> Result<(), StoreError> {
        let (from, id) = (from.first().cloned().flatten(), id.to_owned());
        self.write(move |write| {
            notes::put(write, notes::SEAL, from.as_deref(), &id, keep).map_err(unavailable)
        })
        .await
        .map(drop)
    }

    async fn push(&self, list: List, item: &str) -> Result<Vec<String>, StoreError> {
        let item = item.to_owned();
        self.write(move |write| notes::push(write, list, &item).map_err(unavailable))
            .await
    }

    async fn items_from(
        &self,
        list: List,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |read| notes::items(read, list, start, limit).map_err(unavailable))
            .await
    }

    async fn account_names(&self) -> Result<KnownAccounts, StoreError> {
        self.read(|read| {
            let table = read.open_table(IDENTITY).map_err(unavailable)?;
            let facts = open::read_facts(&table).map_err(unavailable)?;
            Ok(KnownAccounts {
                names: identity::account_names(&facts),
                is_whole: true,
            })
        })
        .await
    }

    async fn listeners(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    async fn verify(&self) -> Result<(), StoreError> {
        self.write(|write| count_verification(write).map_err(unavailable))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::mpsc};

    use uuid::Uuid;

    use super::*;
    use crate::store::Identity;
    use crate::transaction::AccountNames;

    fn write_note(write: &WriteTransaction, name: &str) -> Result<Put, StoreError> {
        let keep = Keep {
            now: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
        };
        notes::put(write, name, None, "text", keep).map_err(unavailable)
    }

    /// A write that hangs stands for a disk that hangs: both hold the only writer.
    #[tokio::test]
    async fn no_read_overtakes_a_write_that_timed_out() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity {
            accounts: BTreeMap::from([(AccountName::parse("main").unwrap(), String::new())]),
            names: AccountNames::default(),
            epoch: Uuid::from_u128(1),
        };
        let file = folder.path().join("store.redb");
        let mut store = RedbStore::open(&file, &identity).await.unwrap();
        store.timeout = Duration::from_millis(100);
        let (release, hangs) = mpsc::channel::<()>();
        let hanging = store.write(move |write| {
            hangs.recv().unwrap();
            write_note(write, "late")
        });
        assert!(matches!(hanging.await, Err(StoreError::Unavailable(_))));
        let read = store.note("late").await;
        assert!(read.is_err(), "it may be stored yet: {read:?}");
        let waiting = store.write(|write| write_note(write, "given up"));
        assert!(matches!(waiting.await, Err(StoreError::Unavailable(_))));
        assert!(store.verify().await.is_err());

        release.send(()).unwrap();
        store.timeout = Duration::from_mins(1);
        assert_eq!(store.note("late").await.unwrap().as_deref(), Some("text"));
        assert_eq!(store.note("given up").await.unwrap(), None);
        store.verify().await.unwrap();
    }
}
