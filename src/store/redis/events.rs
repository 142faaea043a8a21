//! The events of one transaction, and of all.

use futures::future::join_all;
use redis::{
    FromRedisValue, Pipeline, RedisResult, Value,
    streams::{StreamId, StreamRangeReply},
};

use super::{
    error::unreadable_reply,
    keys::{events_key, number_key},
    server_info::info,
    store::RedisStore,
};
use crate::{
    store::{Cursor, Event, Events, History, Position, StoreError, epoch, key, record},
    transaction::TransactionKey,
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
        let mut get = redis::cmd("HGETALL");
        get.arg(&keys.record);
        let fields: Vec<(String, Vec<u8>)> = self.query(&get).await?;
        if fields.is_empty()
            && let Some(tombstone) = self.read_tombstone(key).await?
        {
            return Err(StoreError::Retired(tombstone));
        }
        let events = ids_after(&fields, after);
        if events.is_empty() {
            // The client rejects an empty pipeline.
            return Ok(History::Complete(Vec::new()));
        }
        let mut pipeline = redis::pipe();
        for (_, id) in &events {
            pipeline.xrange(&keys.events, id, id);
        }
        let ranges: Vec<StreamRangeReply> = self.query_all(&pipeline).await?;
        let bodies = ranges
            .iter()
            .map(|range| range.ids.first()?.get::<Vec<u8>>("body"));
        let Some(bodies) = bodies.collect::<Option<Vec<_>>>() else {
            return Ok(History::Trimmed);
        };
        let transactions = bodies
            .iter()
            .map(|body| record::decode(key, body))
            .collect::<Result<_, _>>()?;
        Ok(History::Complete(transactions))
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
                Some(event) => read_position(event)?,
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
            let seen = cursor.positions[partition].number;
            if number < seen || found.is_empty() && number > seen {
                return Ok(Events::OutOfRange);
            }
            for (expected, event) in (seen + 1..).zip(found) {
                let position = read_position(&event)?;
                if position.number != expected {
                    return Ok(Events::OutOfRange);
                }
                events.push((position, partition, event));
            }
        }
        if let Some(problem) = problem
            && !has_answer
        {
            return Err(problem);
        }
        // The ids of a partition ascend, so only the last events of a partition are cut off.
        events.sort_by_key(|(position, ..)| position.id);
        events.truncate(EVENTS_MAX);
        let decode = |(position, partition, event): (Position, usize, StreamId)| {
            Ok(Event {
                transaction: record::decode(
                    &key::parse_key(&field::<String>(&event, "key")?)?,
                    &field::<Vec<u8>>(&event, "body")?,
                )?,
                partition,
                position,
            })
        };
        let events = events.into_iter().map(decode);
        Ok(Events::Next(events.collect::<Result<_, StoreError>>()?))
    }

    /// Reads some events of partitions: those of each server in one round trip, after its
    /// replication id, because a promoted replica may lack events, and reports another id. `read`
    /// adds the command that reads the events of a partition.
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
            let replies: Result<Vec<Value>, _> = match server {
                Ok(server) => self.query_server(&server, &pipeline).await,
                Err(error) => Err(error),
            };
            let events = replies.and_then(|replies| {
                read_replies(replies).map_err(|error| unreadable_reply(&error))
            });
            (indexes, events)
        });
        let mut found: Vec<Option<Result<PartitionEvents, StoreError>>> = Vec::new();
        found.resize_with(partitions.len(), || None);
        for (indexes, events) in join_all(reading).await {
            match events {
                Ok(events) => {
                    for (index, events) in indexes.into_iter().zip(events) {
                        found[index] = Some(Ok(events));
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

/// Returns the schema in front of the epochs in a cursor: a cursor of another schema refers to other
/// partitions.
fn epoch_prefix() -> String {
    format!("{}:", record::SCHEMA)
}

fn epoch_name(epochs: &[String]) -> String {
    format!("{}{}", epoch_prefix(), epoch::join(epochs, &[]))
}

fn read_replies(replies: Vec<Value>) -> RedisResult<Vec<PartitionEvents>> {
    let mut replies = replies.into_iter();
    let answer = replies.next().map(String::from_redis_value).transpose()?;
    let epoch = info(&answer.unwrap_or_default(), "master_replid").to_owned();
    let mut partitions = Vec::new();
    while let (Some(number), Some(events)) = (replies.next(), replies.next()) {
        partitions.push(PartitionEvents {
            epoch: epoch.clone(),
            number: Option::<u64>::from_redis_value(number)?.unwrap_or_default(),
            events: StreamRangeReply::from_redis_value(events)?.ids,
        });
    }
    Ok(partitions)
}

fn read_position(event: &StreamId) -> Result<Position, StoreError> {
    let id = event.id.split_once('-');
    let id = id.and_then(|(ms, sequence)| Some((ms.parse().ok()?, sequence.parse().ok()?)));
    Ok(Position {
        id: id.ok_or_else(|| corrupt(event))?,
        number: field(event, "number")?,
    })
}

fn field<T: FromRedisValue>(event: &StreamId, name: &str) -> Result<T, StoreError> {
    event.get(name).ok_or_else(|| corrupt(event))
}

fn corrupt(event: &StreamId) -> StoreError {
    StoreError::Corrupt {
        key: format!("the event {}", event.id),
        problem: "it lacks a field".to_owned(),
    }
}

/// Returns the stream ids of the events after a revision, in order.
fn ids_after(fields: &[(String, Vec<u8>)], after: u64) -> Vec<(u64, String)> {
    let mut events: Vec<(u64, String)> = fields
        .iter()
        .filter_map(|(name, id)| {
            let revision = name.strip_prefix("event:")?.parse().ok()?;
            Some((revision, String::from_utf8(id.clone()).ok()?))
        })
        .filter(|(revision, _)| *revision > after)
        .collect();
    events.sort_unstable();
    events
}
