//! The embedded store: one file, one process, every commit on disk before it
//! returns. For development, tests and installations of one replica.

mod due;
mod notes;
mod open;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{
    Commit, Cursor, Due, DueCheck, Event, Events, History, Keep, Lease, List, Listed, Listing,
    Position, Put, Store, StoreError, Unindexed, Wake, record,
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

/// The embedded store.
pub struct RedbStore {
    database: Arc<Database>,
    epoch: String,
    leases: Arc<due::Leases>,
}

impl RedbStore {
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        blocking(move || work(&database.begin_read().map_err(unavailable)?)).await
    }

    /// Runs `work` in one transaction, committed and synced when it returns `Ok`.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        blocking(move || {
            let write = database.begin_write().map_err(unavailable)?;
            let done = work(&write)?;
            write.commit().map_err(unavailable)?;
            Ok(done)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
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
        if history.is_some_and(|named| named != self.epoch) {
            return Ok(Commit::OtherHistory);
        }
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
        let (database, leases) = (Arc::clone(&self.database), Arc::clone(&self.leases));
        let check = check.clone();
        blocking(move || leases.acquire(&database, &check, now, lease)).await
    }

    async fn listen(&self, _wake: Wake<'_>) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn index_trace(
        &self,
        key: &TransactionKey,
        trace_code: &TraceCode,
    ) -> Result<(), StoreError> {
        let (trace, key) = (format!("{}:{trace_code}", key.account()), key.to_string());
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

    async fn events_after(&self, cursor: &Cursor) -> Result<Events, StoreError> {
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

    async fn push(&self, list: List, item: &str) -> Result<(), StoreError> {
        let item = item.to_owned();
        self.write(move |write| notes::push(write, list, &item).map_err(unavailable))
            .await
    }

    async fn items(&self, list: List) -> Result<Vec<String>, StoreError> {
        self.read(move |read| notes::items(read, list).map_err(unavailable))
            .await
    }

    async fn verify(&self) -> Result<(), StoreError> {
        self.read(|read| read.open_table(IDENTITY).map(drop).map_err(unavailable))
            .await
    }
}
