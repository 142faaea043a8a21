//! The events of all transactions: their numbers have no gaps, and each has its record.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::{
    checks::{GAPS, LOST, load, remedy_of},
    report::{Inconsistency, VerificationReport},
};
use crate::{
    store::{Cursor, Event, Events, NextEvent, OpenedStore, StoreError},
    transaction::State,
};

/// Reads the events of every partition that exist when it begins.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub(super) async fn walk(
    opened: &OpenedStore,
    report: &mut VerificationReport,
) -> Result<(), StoreError> {
    let head = opened.store().events_head().await?;
    let start = opened.events_start().await?;
    for (partition, end) in head.positions.into_iter().enumerate() {
        walk_partition(opened, start.clone(), (partition, end.number), report).await?;
    }
    Ok(())
}

async fn walk_partition(
    opened: &OpenedStore,
    mut cursor: Cursor,
    (partition, end): (usize, u64),
    report: &mut VerificationReport,
) -> Result<(), StoreError> {
    let mut without = WithoutRecord::default();
    // Gateways may add events faster than they are read here. One read beyond the end shows whether
    // the last event is missing.
    let mut is_last = false;
    while !is_last {
        is_last = cursor.positions[partition].number >= end;
        let events = match opened.store().events_in(&cursor, &[partition]).await {
            Err(error) if error.is_transient() => return Err(error),
            Ok(Events::Next(events)) if events.is_empty() => break,
            Ok(Events::Next(events)) => events,
            _ => {
                // A gateway may have trimmed the events that follow the cursor.
                let start = opened.events_start().await?.positions[partition];
                if start.number > cursor.positions[partition].number {
                    cursor.positions[partition] = start;
                    continue;
                }
                let gap = walk_to_gap(opened, &mut cursor, partition).await?;
                report.add_all(gap.problem);
                if gap.is_end {
                    is_last = true;
                }
                gap.events
            }
        };
        without.add(opened, &events).await?;
        *report.read.entry("events").or_default() += events.len() as u64;
        for event in events {
            cursor.advance(&event);
        }
    }
    report.add_all(without.lost());
    Ok(())
}

/// The number of events before a gap that are read one by one, and then checked.
const EVENTS_MAX: usize = 256;

/// The events before a gap, and what it is.
#[derive(Default)]
struct Gap {
    events: Vec<Event>,
    problem: Option<Inconsistency>,
    /// Nothing follows.
    is_end: bool,
}

/// Reads the events up to a gap one by one, and moves the cursor behind it. The events of a record
/// that has ended are no gap.
async fn walk_to_gap(
    opened: &OpenedStore,
    cursor: &mut Cursor,
    partition: usize,
) -> Result<Gap, StoreError> {
    let mut gap = Gap::default();
    while gap.events.len() < EVENTS_MAX {
        let after = cursor.positions[partition].number;
        let found = |problem, remedy| Inconsistency {
            key: format!("events of partition {partition}"),
            problem,
            remedy,
        };
        let (problem, position) = match opened.next_event(cursor, partition).await {
            Err(error) if error.is_transient() => return Err(error),
            Ok(NextEvent::Event(event)) => {
                cursor.advance(&event);
                gap.events.push(event);
                continue;
            }
            Ok(NextEvent::None) => (None, None),
            Ok(NextEvent::Ended(position)) => (None, Some(position)),
            Ok(NextEvent::Missing(position)) => {
                let problem = format!("an event after number {after} is missing");
                (Some(found(problem, GAPS)), Some(position))
            }
            Ok(NextEvent::Unreadable(position, error)) => {
                let problem = format!("an event after number {after} cannot be read: {error}");
                (
                    Some(found(problem, remedy_of(&error, GAPS))),
                    Some(position),
                )
            }
            Err(error) => {
                let problem = format!("an event after number {after} cannot be read: {error}");
                (Some(found(problem, remedy_of(&error, GAPS))), None)
            }
        };
        gap.problem = problem;
        gap.is_end = position.is_none();
        if let Some(position) = position {
            cursor.positions[partition] = position;
        }
        return Ok(gap);
    }
    Ok(gap)
}

/// Transactions that have events and no record, and whether their last event is one that leaves none:
/// a record that is NOT_SENT ends without a tombstone.
#[derive(Default)]
struct WithoutRecord(BTreeMap<String, bool>);

impl WithoutRecord {
    /// Adds those of some events.
    async fn add(&mut self, opened: &OpenedStore, events: &[Event]) -> Result<(), StoreError> {
        let loading = events.iter().map(async |event| {
            let loaded = load(opened, &event.transaction.key()).await?;
            Ok::<_, StoreError>(matches!(loaded, Ok(None)))
        });
        let are_missing = try_join_all(loading).await?;
        for (event, is_missing) in events.iter().zip(are_missing) {
            if is_missing {
                let is_unsent = matches!(event.transaction.status().state, State::NotSent(_));
                self.0
                    .insert(event.transaction.key().to_string(), is_unsent);
            }
        }
        Ok(())
    }

    /// Returns those that were lost.
    fn lost(self) -> impl Iterator<Item = Inconsistency> {
        let lost = self.0.into_iter().filter(|(_, is_unsent)| !is_unsent);
        lost.map(|(key, _)| Inconsistency {
            key,
            problem: "has events, but no record".to_owned(),
            remedy: LOST,
        })
    }
}
