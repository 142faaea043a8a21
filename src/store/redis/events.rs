//! The events of one transaction, and of all.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use redis::{
    Pipeline, Value,
    streams::{StreamId, StreamRangeReply},
};

use super::{
    keys::{events_key, number_key},
    raw_event::RawEvent,
    server_info::info,
    store::{RedisStore, read_reply},
};
use crate::{
    store::{Cursor, Event, Events, History, Position, StoreError, epoch},
    transaction::{Transaction, TransactionKey},
};

/// The maximum number of events returned at a time, and the least number read of one partition.
const EVENTS_MAX: usize = 256;
const PARTITION_EVENTS_MIN: usize = 8;

/// Some events of a partition.
struct PartitionEvents {
    /// The replication id of its server.
    epoch: String,
    /// The number of its last event.
    number: u64,
    events: Vec<StreamId>,
}

impl RedisStore {
    /// Reads the events of a transaction after a revision.
    pub(super) async fn read_history(
        &self,
        key: &TransactionKey,
        after: u64,
    ) -> Result<History, StoreError> {
        let keys = self.keys(key);
        let Some(known) = self.known_events(key).await? else {
            return match self.read_tombstone(key).await? {
                Some(tombstone) => Err(StoreError::Retired(tombstone)),
                None => Ok(History::Complete(Vec::new())),
            };
        };
        let ids = known.ids_after(after);
        if ids.is_empty() {
            // The client rejects an empty pipeline.
            return Ok(known.history(after, Vec::new()));
        }
        let mut pipeline = redis::pipe();
        for id in &ids {
            pipeline.xrange(&keys.events, id, id);
        }
        let ranges: Vec<StreamRangeReply> = self.query_all(&pipeline).await?;
        let mut events = Vec::new();
        for (id, range) in ids.into_iter().zip(&ranges) {
            let body = match range.ids.first() {
                Some(event) => Some(RawEvent::of_stream(event)?.body),
                None => self.erased_event(key, id).await?,
            };
            let Some(body) = body else {
                return Ok(History::Trimmed);
            };
            events.push(self.codec.decode_event(key, &body)?);
        }
        Ok(known.history(after, events))
    }

    /// Returns the stream ids of the events of a transaction, oldest first.
    pub(super) async fn event_ids(&self, key: &TransactionKey) -> Result<Vec<String>, StoreError> {
        let known = self.known_events(key).await?;
        let ids = known.as_ref().map(|known| known.ids_after(0));
        Ok(ids.into_iter().flatten().cloned().collect())
    }

    /// Returns the events that a record names; `None` when there is no record.
    async fn known_events(&self, key: &TransactionKey) -> Result<Option<KnownEvents>, StoreError> {
        let mut get = redis::cmd("HGETALL");
        get.arg(&self.keys(key).record);
        let fields: Vec<(Vec<u8>, Vec<u8>)> = self.query(&get).await?;
        Ok((!fields.is_empty()).then(|| KnownEvents::of(&fields)))
    }

    /// Reads the last event of each partition. Reads its number first, so that an event added in
    /// between is not mistaken for a gap.
    pub(super) async fn read_head(&self) -> Result<Cursor, StoreError> {
        let all: Vec<usize> = (0..self.partition_count()).collect();
        let newest = |pipeline: &mut Pipeline, partition: usize| {
            pipeline.xrevrange_count(events_key(partition as u64), "+", "-", 1);
        };
        let mut epochs = Vec::new();
        let mut positions = Vec::new();
        for partition in self.read_partitions(&all, newest).await? {
            let PartitionEvents {
                epoch,
                number,
                events,
            } = partition?;
            epochs.push(epoch);
            positions.push(match events.first() {
                Some(event) => RawEvent::of_stream(event)?.position,
                None => Position { id: (0, 0), number },
            });
        }
        Ok(Cursor {
            epoch: epoch_name(&epochs),
            positions,
        })
    }

    /// Reads the next events after a cursor in some partitions.
    pub(super) async fn read_events(
        &self,
        cursor: &Cursor,
        partitions: &[usize],
    ) -> Result<Events, StoreError> {
        let is_of_this_store = cursor.positions.len() as u64 == self.settings.partitions;
        if !is_of_this_store
            || partitions
                .iter()
                .any(|partition| *partition >= cursor.positions.len())
        {
            return Ok(Events::OutOfRange);
        }
        if partitions.is_empty() {
            return Ok(Events::Next(Vec::new()));
        }
        let Some(epochs) = cursor.epoch.strip_prefix(&epoch_prefix()) else {
            return Ok(Events::OutOfRange);
        };
        let count = (EVENTS_MAX / partitions.len()).max(PARTITION_EVENTS_MIN);
        let next = |pipeline: &mut Pipeline, partition: usize| {
            let (ms, sequence) = cursor.positions[partition].id;
            let after = format!("({ms}-{sequence}");
            pipeline.xrange_count(events_key(partition as u64), after, "+", count);
        };
        let mut events = Vec::new();
        let (mut problem, mut has_answer) = (None, false);
        for (&partition, found) in partitions
            .iter()
            .zip(self.read_partitions(partitions, next).await?)
        {
            let PartitionEvents {
                epoch,
                number,
                events: found,
            } = match found {
                Ok(found) => found,
                // Its events stay after the cursor. Those of the other servers are not delayed.
                Err(error) => {
                    problem = Some(error);
                    continue;
                }
            };
            has_answer = true;
            if epoch != epoch::of_partition(epochs, partition) {
                return Ok(Events::OutOfRange);
            }
            let after = cursor.positions[partition];
            let found: Result<Vec<_>, _> = found.iter().map(RawEvent::of_stream).collect();
            let mut found = found?;
            if !is_next(after, number, &found) {
                self.add_erased(partition, after, count, &mut found).await?;
            }
            if !is_next(after, number, &found) {
                return Ok(Events::OutOfRange);
            }
            events.extend(found.into_iter().map(|event| (partition, event)));
        }
        if let Some(problem) = problem
            && !has_answer
        {
            return Err(problem);
        }
        // The ids of a partition ascend, so only the last events of a partition are cut off.
        events.sort_by_key(|(_, event)| event.position.id);
        events.truncate(EVENTS_MAX);
        let decode = |(partition, event): (usize, RawEvent)| {
            Ok(Event {
                transaction: self.codec.decode_event(&event.key, &event.body)?,
                partition,
                position: event.position,
            })
        };
        let events = events.into_iter().map(decode);
        Ok(Events::Next(events.collect::<Result<_, StoreError>>()?))
    }

    /// Adds the erased events of a partition to those that its stream has after a position.
    async fn add_erased(
        &self,
        partition: usize,
        after: Position,
        count: usize,
        found: &mut Vec<RawEvent>,
    ) -> Result<(), StoreError> {
        // Beyond a full page, the stream may have more.
        let last = found.last().map(|event| event.position.id);
        let until = last.filter(|_| found.len() >= count);
        let mut all = self.erased_events(partition as u64).await?;
        all.retain(|erased| {
            let Position { id, number } = erased.position;
            number > after.number && until.is_none_or(|until| id < until)
        });
        // An event that is erased between the two reads is in both: the erased form comes first.
        all.append(found);
        all.sort_by_key(|event| event.position.number);
        all.dedup_by_key(|event| event.position.number);
        *found = all;
        Ok(())
    }

    /// Reads some events of partitions: those of each server in one round trip, after its
    /// replication id, because a promoted replica may lack events, and reports another id. `read`
    /// adds the command that reads the events of a partition. A partition whose slot is being moved
    /// fails alone: the epoch, the number and the events must be those of one server.
    async fn read_partitions(
        &self,
        partitions: &[usize],
        read: impl Fn(&mut Pipeline, usize),
    ) -> Result<Vec<Result<PartitionEvents, StoreError>>, StoreError> {
        let groups = self.by_server(partitions).await?;
        let reading = groups.into_iter().map(async |(server, indexes)| {
            let mut pipeline = redis::pipe();
            pipeline.cmd("INFO").arg("replication");
            for &index in &indexes {
                pipeline.get(number_key(partitions[index] as u64));
                read(&mut pipeline, partitions[index]);
            }
            let replies = match server {
                Ok(server) => self.query_server_each(&server, &pipeline).await,
                Err(error) => Err(error),
            };
            (indexes, replies.and_then(read_replies))
        });
        let mut found: Vec<Option<Result<PartitionEvents, StoreError>>> = Vec::new();
        found.resize_with(partitions.len(), || None);
        for (indexes, events) in join_all(reading).await {
            match events {
                Ok(events) => {
                    for (index, events) in indexes.into_iter().zip(events) {
                        found[index] = Some(events);
                    }
                }
                Err(error) => {
                    for index in indexes {
                        found[index] = Some(Err(error.clone()));
                    }
                }
            }
        }
        let missing = || StoreError::Unavailable("a reply is missing".to_owned());
        let complete = |found: Option<_>| found.unwrap_or_else(|| Err(missing()));
        Ok(found.into_iter().map(complete).collect())
    }
}

/// Returns the layout of partitions and streams in front of the epochs in a cursor. Schemas 3 and 4
/// have the same, so that cursors stay valid over an upgrade.
fn epoch_prefix() -> String {
    "3:".to_owned()
}

fn epoch_name(epochs: &[String]) -> String {
    format!("{}{}", epoch_prefix(), epoch::join(epochs, &[]))
}

/// Reads the replies of one server: its replication id, then the number and the events of each
/// partition.
fn read_replies(
    replies: Vec<Result<Value, StoreError>>,
) -> Result<Vec<Result<PartitionEvents, StoreError>>, StoreError> {
    let mut replies = replies.into_iter();
    let answer: String = read_reply(replies.next().unwrap_or(Ok(Value::Nil))?)?;
    let epoch = info(&answer, "master_replid");
    let mut partitions = Vec::new();
    while let (Some(number), Some(events)) = (replies.next(), replies.next()) {
        partitions.push(read_partition(epoch, number, events));
    }
    Ok(partitions)
}

fn read_partition(
    epoch: &str,
    number: Result<Value, StoreError>,
    events: Result<Value, StoreError>,
) -> Result<PartitionEvents, StoreError> {
    let number: Option<u64> = read_reply(number?)?;
    let events: StreamRangeReply = read_reply(events?)?;
    Ok(PartitionEvents {
        epoch: epoch.to_owned(),
        number: number.unwrap_or_default(),
        events: events.ids,
    })
}

/// Returns true when events follow a position without a gap; `last` is the number of the last event
/// of the partition.
fn is_next(after: Position, last: u64, events: &[RawEvent]) -> bool {
    let numbers = events.iter().map(|event| event.position.number);
    let is_gapless = (after.number + 1..)
        .zip(numbers)
        .all(|(expected, number)| number == expected);
    last >= after.number && is_gapless && (last == after.number || !events.is_empty())
}

/// The events of one transaction, as its record names them.
struct KnownEvents {
    /// The revision of the record, if it names it.
    revision: Option<u64>,
    /// Revision to stream id.
    ids: BTreeMap<u64, String>,
}

impl KnownEvents {
    /// Reads the events that the fields of a record name: those of schema 3, each in a field of its
    /// own, and the later ones of schema 4, in the field `version`.
    fn of(fields: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let mut known = Self {
            revision: None,
            ids: BTreeMap::new(),
        };
        for (name, value) in fields {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            if let Some(revision) = name
                .strip_prefix("event:")
                .and_then(|text| text.parse().ok())
            {
                let id = String::from_utf8_lossy(value).into_owned();
                known.ids.insert(revision, id);
            } else if name == "version" {
                known.read_head(value);
            }
        }
        known
    }

    /// Reads the head of a record: 16 bytes of token, then version, revision, state, kind of index
    /// and the stream ids of the latest events. In schema 3 it is the version alone.
    fn read_head(&mut self, head: &[u8]) {
        let text = head
            .get(16..)
            .and_then(|text| std::str::from_utf8(text).ok());
        let mut words = text.unwrap_or_default().split(' ').skip(1);
        let revision = words.next().and_then(|text| text.parse::<u64>().ok());
        let Some(revision) = revision else {
            return;
        };
        self.revision = Some(revision);
        // Every revision has one event, so the last id is that of the record's revision.
        let ids: Vec<&str> = words.skip(2).collect();
        for (id, revision) in ids.into_iter().rev().zip((1..=revision).rev()) {
            self.ids.insert(revision, id.to_owned());
        }
    }

    fn ids_after(&self, after: u64) -> Vec<&String> {
        let later = self.ids.range(after.saturating_add(1)..);
        later.map(|(_, id)| id).collect()
    }

    /// Returns the history after a revision; it is trimmed when the record does not name all of it.
    fn history(&self, after: u64, events: Vec<Arc<Transaction>>) -> History {
        let newest = self.revision.unwrap_or_default();
        let expected = after.saturating_add(1)..;
        let is_gapless = expected
            .zip(&events)
            .all(|(revision, event)| event.revision() == revision);
        let is_complete =
            newest <= after || events.last().is_some_and(|last| last.revision() >= newest);
        if is_gapless && is_complete {
            History::Complete(events)
        } else {
            History::Trimmed
        }
    }
}
