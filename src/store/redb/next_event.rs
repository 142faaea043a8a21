//! The event that follows a number, for an inspection that goes on behind a gap.

use std::ops::ControlFlow;

use redb::ReadTransaction;

use super::{
    error::failure,
    events::position,
    segments,
    store::RedbStore,
    tables::{EVENTS, LOG, SEGMENTS, open_if_there},
};
use crate::store::{NextEvent, StoreError, key::parse_key, walk::FoundEvent};

impl RedbStore {
    /// Reads what follows an event number.
    pub(in crate::store) async fn read_next_event(
        &self,
        after: u64,
    ) -> Result<NextEvent, StoreError> {
        let codec = std::sync::Arc::clone(&self.codec);
        self.read(move |read| {
            let found = match in_log(read, after)? {
                ControlFlow::Break(next) => return Ok(next),
                ControlFlow::Continue(Some(found)) => Some(found),
                ControlFlow::Continue(None) => in_segments(read, after)?,
            };
            Ok(found.map_or(NextEvent::None, |found| found.after(after, &codec)))
        })
        .await
    }
}

/// Finds the next event of schema 3, or breaks with one whose record was deleted.
fn in_log(
    read: &ReadTransaction,
    after: u64,
) -> Result<ControlFlow<NextEvent, Option<FoundEvent>>, StoreError> {
    let log = read.open_table(LOG).map_err(failure)?;
    let next = log.range(after + 1..).map_err(failure)?.next();
    let Some((number, event)) = next.transpose().map_err(failure)? else {
        return Ok(ControlFlow::Continue(None));
    };
    let (number, (name, revision)) = (number.value(), event.value());
    let bodies = read.open_table(EVENTS).map_err(failure)?;
    let body = bodies.get((name, revision)).map_err(failure)?;
    if body.is_none() {
        // A record that ends takes all of its events along.
        let of_key = bodies.range((name, 0)..=(name, u64::MAX));
        let is_gone = of_key.map_err(failure)?.next().is_none();
        return Ok(ControlFlow::Break(if is_gone {
            NextEvent::Ended(position(number))
        } else {
            NextEvent::Missing(position(number))
        }));
    }
    Ok(ControlFlow::Continue(Some(FoundEvent {
        partition: 0,
        position: position(number),
        key: parse_key(name),
        body: body.map_or_else(Vec::new, |body| body.value().to_vec()),
    })))
}

/// Finds the next event in the segments.
fn in_segments(read: &ReadTransaction, after: u64) -> Result<Option<FoundEvent>, StoreError> {
    let Some(table) = open_if_there(read, SEGMENTS)? else {
        return Ok(None);
    };
    let holding = segments::segment_of(&table, after + 1)?;
    let is_within = |(first, events): &(u64, Vec<_>)| after + 1 < first + events.len() as u64;
    let segment = match holding.filter(is_within) {
        Some(segment) => Some(segment),
        None => match table.range(after + 1..).map_err(failure)?.next() {
            Some(next) => {
                let (first, bytes) = next.map_err(failure)?;
                let first = first.value();
                Some((first, segments::read_segment(first, bytes.value())?))
            }
            None => None,
        },
    };
    let Some((first, events)) = segment else {
        return Ok(None);
    };
    let number = first.max(after + 1);
    let index = usize::try_from(number - first).unwrap_or(usize::MAX);
    let found = events.into_iter().nth(index).map(|event| FoundEvent {
        partition: 0,
        position: position(number),
        key: parse_key(&event.key),
        body: event.body,
    });
    Ok(found)
}
