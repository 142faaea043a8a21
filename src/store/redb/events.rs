//! The events of one transaction, and of all. The embedded store has one partition.

use redb::ReadableTable;

use super::{
    error::failure,
    store::RedbStore,
    tables::{EVENTS, LOG, RECORDS},
    tombstones::read_tombstone,
};
use crate::{
    store::{Cursor, Event, Events, History, Position, StoreError, key::parse_key, record},
    transaction::TransactionKey,
};

/// The maximum number of events read at a time.
const EVENTS_MAX: usize = 256;

impl RedbStore {
    /// Reads the events of a transaction after a revision.
    pub(super) async fn read_history(
        &self,
        key: &TransactionKey,
        after: u64,
    ) -> Result<History, StoreError> {
        let key = key.clone();
        self.read(move |read| {
            let name = key.to_string();
            let table = read.open_table(EVENTS).map_err(failure)?;
            let range = (name.as_str(), after.saturating_add(1))..=(name.as_str(), u64::MAX);
            let mut events = Vec::new();
            for entry in table.range(range).map_err(failure)? {
                let (_, bytes) = entry.map_err(failure)?;
                events.push(record::decode(&key, bytes.value())?);
            }
            if events.is_empty() {
                let records = read.open_table(RECORDS).map_err(failure)?;
                let is_stored = records.get(name.as_str()).map_err(failure)?.is_some();
                if !is_stored && let Some(tombstone) = read_tombstone(read, &key)? {
                    return Err(StoreError::Retired(tombstone));
                }
            }
            Ok(History::Complete(events))
        })
        .await
    }

    /// Reads the position of the newest event.
    pub(super) async fn read_head(&self) -> Result<Cursor, StoreError> {
        let epoch = self.epoch.clone();
        self.read(move |read| {
            let log = read.open_table(LOG).map_err(failure)?;
            let last = log.last().map_err(failure)?;
            let number = last.map_or(0, |(number, _)| number.value());
            Ok(Cursor {
                epoch,
                positions: vec![position(number)],
            })
        })
        .await
    }

    /// Reads the next events after a cursor.
    pub(super) async fn read_events(
        &self,
        cursor: &Cursor,
        partitions: &[usize],
    ) -> Result<Events, StoreError> {
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
            let log = read.open_table(LOG).map_err(failure)?;
            let bodies = read.open_table(EVENTS).map_err(failure)?;
            let last = log.last().map_err(failure)?;
            if last.map_or(0, |(number, _)| number.value()) < seen {
                return Ok(Events::OutOfRange);
            }
            let mut events = Vec::new();
            let next = log.range(seen + 1..).map_err(failure)?;
            for entry in next.take(EVENTS_MAX) {
                let (number, event) = entry.map_err(failure)?;
                let Some(body) = bodies.get(event.value()).map_err(failure)? else {
                    return Ok(Events::OutOfRange);
                };
                let key = parse_key(event.value().0)?;
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
}

fn position(number: u64) -> Position {
    Position { id: (0, 0), number }
}
