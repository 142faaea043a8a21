//! The embedded store: one file, one process, every commit on disk before it
//! returns. For development, tests and installations of one replica.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use super::{
    Commit, History, Identity, ORPHANS_MAX, Orphan, Store, StoreError, Wake, belongs_elsewhere,
    record,
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
/// Number in order of arrival -> orphan.
const ORPHANS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("orphans");
/// Fact -> value.
const IDENTITY: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");

/// The embedded store.
pub struct RedbStore {
    database: Arc<Database>,
}

impl RedbStore {
    /// Opens the store in `file`, and makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, when it cannot
    /// be written, or when it belongs to other accounts.
    pub async fn open(file: &Path, identity: &Identity) -> Result<Self, StoreError> {
        let (file, facts) = (file.to_owned(), identity.facts(None));
        blocking(move || {
            let unsuitable = |error: &dyn std::fmt::Display| {
                StoreError::Unsuitable(format!("{}: {error}", file.display()))
            };
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(|error| unsuitable(&error))?;
            }
            let database = Database::create(&file).map_err(|error| unsuitable(&error))?;
            let write = database.begin_write().map_err(unavailable)?;
            make_tables(&write).map_err(unavailable)?;
            take_identity(&write, &facts)?;
            write.commit().map_err(unavailable)?;
            Ok(Self {
                database: Arc::new(database),
            })
        })
        .await
    }

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

fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(RECORDS)?;
    write.open_table(EVENTS)?;
    write.open_table(DUE)?;
    write.open_table(DUE_OF)?;
    write.open_table(TRACES)?;
    write.open_table(ORPHANS)?;
    write.open_table(IDENTITY)?;
    Ok(())
}

fn take_identity(write: &WriteTransaction, facts: &[(String, String)]) -> Result<(), StoreError> {
    let mut table = write.open_table(IDENTITY).map_err(unavailable)?;
    for (fact, ours) in facts {
        let stored = table
            .get(fact.as_str())
            .map_err(unavailable)?
            .map(|value| value.value().to_owned());
        match stored {
            Some(stored) if stored != *ours => return Err(belongs_elsewhere(fact, &stored, ours)),
            Some(_) => {}
            None => {
                table
                    .insert(fact.as_str(), ours.as_str())
                    .map_err(unavailable)?;
            }
        }
    }
    Ok(())
}

fn set_due(write: &WriteTransaction, key: &str, due: Option<i64>) -> Result<(), redb::Error> {
    let mut due_of = write.open_table(DUE_OF)?;
    let mut index = write.open_table(DUE)?;
    if let Some(old) = due_of.remove(key)? {
        index.remove((old.value(), key))?;
    }
    if let Some(due) = due {
        due_of.insert(key, due)?;
        index.insert((due, key), ())?;
    }
    Ok(())
}

fn save(
    write: &WriteTransaction,
    key: &str,
    transaction: &Transaction,
    body: &[u8],
    is_event: bool,
) -> Result<(), redb::Error> {
    write.open_table(RECORDS)?.insert(key, body)?;
    if is_event {
        write
            .open_table(EVENTS)?
            .insert((key, transaction.revision()), body)?;
    }
    set_due(
        write,
        key,
        transaction.due_at().map(Timestamp::as_millisecond),
    )
}

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, change: &Change) -> Result<Commit, StoreError> {
        let Change {
            transaction,
            from_version,
            is_event,
        } = change.clone();
        let body = record::encode(&transaction)?;
        self.write(move |write| {
            let key = transaction.key();
            let name = key.to_string();
            let stored = {
                let table = write.open_table(RECORDS).map_err(unavailable)?;
                let bytes = table.get(name.as_str()).map_err(unavailable)?;
                bytes
                    .map(|bytes| record::decode(&key, bytes.value()))
                    .transpose()?
            };
            if stored.as_ref().map(|stored| stored.version()) != from_version {
                return Ok(Commit::Conflict(stored));
            }
            save(write, &name, &transaction, &body, is_event).map_err(unavailable)?;
            Ok(Commit::Done)
        })
        .await
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

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionKey>, StoreError> {
        self.read(move |read| {
            let table = read.open_table(DUE).map_err(unavailable)?;
            let past_now = (now.as_millisecond() + 1, "");
            let mut keys = Vec::new();
            for entry in table.range(..past_now).map_err(unavailable)?.take(limit) {
                let (due, _) = entry.map_err(unavailable)?;
                keys.push(record::parse_key(due.value().1)?);
            }
            Ok(keys)
        })
        .await
    }

    async fn lease_check(
        &self,
        key: &TransactionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let name = key.to_string();
        self.write(move |write| {
            let due = {
                let due_of = write.open_table(DUE_OF).map_err(unavailable)?;
                due_of
                    .get(name.as_str())
                    .map_err(unavailable)?
                    .map(|due| due.value())
            };
            if due.is_none_or(|due| due > now.as_millisecond()) {
                return Ok(false);
            }
            set_due(write, &name, Some(until.as_millisecond())).map_err(unavailable)?;
            Ok(true)
        })
        .await
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

    async fn add_orphan(&self, orphan: &Orphan) -> Result<(), StoreError> {
        let body = record::encode_orphan(orphan)?;
        self.write(move |write| {
            let mut table = write.open_table(ORPHANS).map_err(unavailable)?;
            let next = table
                .last()
                .map_err(unavailable)?
                .map_or(0, |(number, _)| number.value() + 1);
            table.insert(next, body.as_slice()).map_err(unavailable)?;
            while table.len().map_err(unavailable)? > ORPHANS_MAX as u64 {
                table.pop_first().map_err(unavailable)?;
            }
            Ok(())
        })
        .await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.read(|read| {
            let table = read.open_table(ORPHANS).map_err(unavailable)?;
            let mut orphans = Vec::new();
            for entry in table.iter().map_err(unavailable)?.rev() {
                let (_, body) = entry.map_err(unavailable)?;
                orphans.push(record::decode_orphan(body.value())?);
            }
            Ok(orphans)
        })
        .await
    }

    async fn verify(&self) -> Result<(), StoreError> {
        self.read(|read| read.open_table(IDENTITY).map(drop).map_err(unavailable))
            .await
    }
}
