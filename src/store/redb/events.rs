//! The events of one transaction, and of all. The embedded store has one partition.

use std::{ops::Range, sync::Arc};

use redb::ReadTransaction;

use super::{
    error::failure,
    segments::{self, read_segment},
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{EVENTS, LOG, RECORDS, SEGMENTS, open_if_there},
    tombstones::read_tombstone,
};
use crate::{
    store::{Cursor, Event, Events, History, Position, StoreError, key::parse_key, record::Codec},
    transaction::{Transaction, TransactionKey},
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
        let (key, codec) = (key.clone(), Arc::clone(&self.codec));
        self.read(move |read| history(read, &codec, &key, after))
            .await
    }

    /// Reads the position of the newest event.
    pub(super) async fn read_head(&self) -> Result<Cursor, StoreError> {
        let epoch = self.epoch.clone();
        self.read(move |read| {
            let number = last_event(read)?;
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
        let codec = Arc::clone(&self.codec);
        self.read(move |read| events_after(read, &codec, seen))
            .await
    }
}

pub(super) fn position(number: u64) -> Position {
    Position { id: (0, 0), number }
}

/// Returns the number of the last event; 0 when there is none.
fn last_event(read: &ReadTransaction) -> Result<u64, StoreError> {
    let segments = open_if_there(read, SEGMENTS)?;
    let log = read.open_table(LOG).map_err(failure)?;
    segments::last_number(segments.as_ref(), &log)
}

/// Reads the events of a transaction after a revision: its chain in the segments and, before it,
/// those that were written in schema 3.
fn history(
    read: &ReadTransaction,
    codec: &Codec,
    key: &TransactionKey,
    after: u64,
) -> Result<History, StoreError> {
    let records = read.open_table(RECORDS).map_err(failure)?;
    let Some(row) = records.get(key.as_str()).map_err(failure)? else {
        return match read_tombstone(read, key)? {
            Some(tombstone) => Err(StoreError::Retired(tombstone)),
            None => Ok(History::Complete(Vec::new())),
        };
    };
    let row = StoredRecord::read(row.value());
    let newest = codec.decode_record(key, row.body)?.revision();
    if newest <= after {
        return Ok(History::Complete(Vec::new()));
    }
    let segments = open_if_there(read, SEGMENTS)?;
    let mut events = Vec::new();
    let mut number = row.last_event;
    while number > 0 {
        let of_number = |segments| segments::segment_of(segments, number);
        let segment = segments.as_ref().map(of_number).transpose()?;
        let Some((first, mut segment)) = segment.flatten() else {
            return Ok(History::Trimmed);
        };
        let index = usize::try_from(number - first).unwrap_or(usize::MAX);
        if index >= segment.len() {
            return Ok(History::Trimmed);
        }
        let stored = segment.swap_remove(index);
        let event = codec.decode_event(key, &stored.body)?;
        if event.revision() <= after {
            break;
        }
        events.push(event);
        number = stored.previous;
    }
    events.reverse();
    let until = events.first().map_or(newest + 1, |event| event.revision());
    let mut earlier = earlier_events(read, codec, key, after + 1..until)?;
    earlier.append(&mut events);
    let is_gapless = (after + 1..)
        .zip(&earlier)
        .all(|(revision, event)| event.revision() == revision);
    if is_gapless && earlier.last().is_some_and(|last| last.revision() >= newest) {
        Ok(History::Complete(earlier))
    } else {
        Ok(History::Trimmed)
    }
}

/// Reads the events of a transaction that were written in schema 3.
fn earlier_events(
    read: &ReadTransaction,
    codec: &Codec,
    key: &TransactionKey,
    revisions: Range<u64>,
) -> Result<Vec<Arc<Transaction>>, StoreError> {
    if revisions.is_empty() {
        return Ok(Vec::new());
    }
    let table = read.open_table(EVENTS).map_err(failure)?;
    let name = key.as_str();
    let range = table.range((name, revisions.start)..(name, revisions.end));
    let mut events = Vec::new();
    for entry in range.map_err(failure)? {
        let (_, body) = entry.map_err(failure)?;
        events.push(codec.decode_event(key, body.value())?);
    }
    Ok(events)
}

/// Reads the next events of all transactions after a number.
fn events_after(read: &ReadTransaction, codec: &Codec, seen: u64) -> Result<Events, StoreError> {
    let last = last_event(read)?;
    if last < seen {
        return Ok(Events::OutOfRange);
    }
    let mut events = Vec::new();
    read_log(read, codec, seen, &mut events)?;
    if events.len() < EVENTS_MAX {
        let after = seen + events.len() as u64;
        read_segments(read, codec, after, &mut events)?;
    }
    let numbers = events.iter().map(|event| event.position.number);
    let is_gapless = (seen + 1..)
        .zip(numbers)
        .all(|(expected, number)| number == expected);
    if !is_gapless || events.is_empty() && last > seen {
        return Ok(Events::OutOfRange);
    }
    Ok(Events::Next(events))
}

/// Reads events that were written in schema 3.
fn read_log(
    read: &ReadTransaction,
    codec: &Codec,
    seen: u64,
    events: &mut Vec<Event>,
) -> Result<(), StoreError> {
    let log = read.open_table(LOG).map_err(failure)?;
    let bodies = read.open_table(EVENTS).map_err(failure)?;
    for entry in log.range(seen + 1..).map_err(failure)?.take(EVENTS_MAX) {
        let (number, event) = entry.map_err(failure)?;
        // A gap, which the caller finds.
        let Some(body) = bodies.get(event.value()).map_err(failure)? else {
            break;
        };
        let key = parse_key(event.value().0)?;
        events.push(Event {
            transaction: codec.decode_event(&key, body.value())?,
            partition: 0,
            position: position(number.value()),
        });
    }
    Ok(())
}

fn read_segments(
    read: &ReadTransaction,
    codec: &Codec,
    after: u64,
    events: &mut Vec<Event>,
) -> Result<(), StoreError> {
    let Some(segments) = open_if_there(read, SEGMENTS)? else {
        return Ok(());
    };
    let start = segments::segment_of(&segments, after + 1)?.map_or(after + 1, |(first, _)| first);
    for entry in segments.range(start..).map_err(failure)? {
        let (first, bytes) = entry.map_err(failure)?;
        let stored = read_segment(first.value(), bytes.value())?;
        for (number, stored) in (first.value()..).zip(stored) {
            if number <= after {
                continue;
            }
            if events.len() >= EVENTS_MAX {
                return Ok(());
            }
            let key = parse_key(&stored.key)?;
            events.push(Event {
                transaction: codec.decode_event(&key, &stored.body)?,
                partition: 0,
                position: position(number),
            });
        }
    }
    Ok(())
}
