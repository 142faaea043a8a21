//! The events of one transaction, and of all.

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
    store::{Cursor, Event, Events, History, Position, StoreError, key, record},
    transaction::TransactionKey,
};

/// The maximum number of events returned at a time, and the least number read of one partition.
const EVENTS_MAX: usize = 256;
const PARTITION_EVENTS_MIN: usize = 8;

/// The number of a partition's last event, and some of its events.
type PartitionEvents = (u64, Vec<StreamId>);

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
        let mut pipeline = pipeline();
        for partition in 0..self.settings.partitions {
            pipeline
                .get(number_key(partition))
                .xrevrange_count(events_key(partition), "+", "-", 1);
        }
        let (epoch, partitions) = self.read_partitions(pipeline).await?;
        let position = |(number, events): PartitionEvents| match events.first() {
            Some(event) => read_position(event),
            None => Ok(Position { id: (0, 0), number }),
        };
        let positions = partitions.into_iter().map(position);
        Ok(Cursor {
            epoch,
            positions: positions.collect::<Result<_, _>>()?,
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
        let count = (EVENTS_MAX / partitions.len()).max(PARTITION_EVENTS_MIN);
        let mut pipeline = pipeline();
        for &partition in partitions {
            let (ms, sequence) = cursor.positions[partition].id;
            pipeline.get(number_key(partition as u64)).xrange_count(
                events_key(partition as u64),
                format!("({ms}-{sequence}"),
                "+",
                count,
            );
        }
        let (epoch, found) = self.read_partitions(pipeline).await?;
        if epoch != cursor.epoch {
            return Ok(Events::OutOfRange);
        }
        let mut events = Vec::new();
        for (&partition, (number, found)) in partitions.iter().zip(found) {
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

    /// Returns the epoch and, for each partition, the number of its last event and some events.
    async fn read_partitions(
        &self,
        pipeline: Pipeline,
    ) -> Result<(String, Vec<PartitionEvents>), StoreError> {
        let replies: Vec<Value> = self.query_all(&pipeline).await?;
        read_replies(replies).map_err(|error| unreadable_reply(&error))
    }
}

/// Returns a pipeline that reads the replication id first: a promoted replica may lack
/// events, and reports another id.
fn pipeline() -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").arg("replication");
    pipeline
}

fn read_replies(replies: Vec<Value>) -> RedisResult<(String, Vec<PartitionEvents>)> {
    let mut replies = replies.into_iter();
    let answer = replies.next().map(String::from_redis_value).transpose()?;
    let replication_id = info(&answer.unwrap_or_default(), "master_replid").to_owned();
    // A cursor of another schema refers to other partitions, so the schema is part of the epoch.
    let epoch = format!("{}:{replication_id}", record::SCHEMA);
    let mut partitions = Vec::new();
    while let (Some(number), Some(events)) = (replies.next(), replies.next()) {
        let number = Option::<u64>::from_redis_value(number)?.unwrap_or_default();
        partitions.push((number, StreamRangeReply::from_redis_value(events)?.ids));
    }
    Ok((epoch, partitions))
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
