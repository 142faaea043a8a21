//! The trimming of events that are older than `store.event_retention`: a little with each commit,
//! so that no commit waits for a long one, and more with each step of the retention.

use std::sync::Arc;

use jiff::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::{
    error::failure,
    segments::read_segment,
    store::RedbStore,
    tables::{EVENTS, LOG, SEGMENTS},
};
use crate::store::{StoreError, key::parse_key, record::Codec};

/// The most that one write removes.
#[derive(Clone, Copy)]
pub(super) struct TrimBounds {
    segments: usize,
    /// Events of schema 3, each of which is a row.
    events: u64,
}

impl TrimBounds {
    /// The bounds of a commit: more than it adds.
    pub(super) const COMMIT: Self = Self {
        segments: 2,
        events: 4,
    };
    /// The bounds of a step of the retention, which commits may wait for.
    const STEP: Self = Self {
        segments: 16,
        events: 256,
    };
}

impl RedbStore {
    /// Removes some old events, and returns their number.
    pub(super) async fn trim_old_events(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.checked_sub(self.event_retention);
        let before_ms = before.map_or(0, Timestamp::as_millisecond);
        let codec = Arc::clone(&self.codec);
        self.write(move |write| trim(write, &codec, before_ms, TrimBounds::STEP))
            .await
    }
}

/// Removes some events from before a time, oldest first, and returns their number. The newest segment
/// stays, because it tells the number of the last event. Before there is one, as after an upgrade from
/// schema 3, the newest row of the log does, so all of it stays.
pub(super) fn trim(
    write: &WriteTransaction,
    codec: &Codec,
    before_ms: i64,
    bounds: TrimBounds,
) -> Result<u64, StoreError> {
    let mut segments = write.open_table(SEGMENTS).map_err(failure)?;
    if segments.is_empty().map_err(failure)? {
        return Ok(0);
    }
    let (mut removed, is_log_empty) = trim_log(write, codec, before_ms, bounds.events)?;
    if !is_log_empty {
        return Ok(removed);
    }
    for _ in 0..bounds.segments {
        let Some((first, events)) = oldest_before(&segments, before_ms)? else {
            break;
        };
        segments.remove(first).map_err(failure)?;
        removed += events;
    }
    Ok(removed)
}

/// Returns the oldest segment, with the number of its events, if it is not the newest, and all of
/// its events are from before a time.
fn oldest_before(
    segments: &impl ReadableTable<u64, &'static [u8]>,
    before_ms: i64,
) -> Result<Option<(u64, u64)>, StoreError> {
    let mut oldest = segments.iter().map_err(failure)?;
    let (Some(segment), Some(_)) = (oldest.next(), oldest.next()) else {
        return Ok(None);
    };
    let (first, bytes) = segment.map_err(failure)?;
    let events = read_segment(first.value(), bytes.value())?;
    let is_old = events.iter().all(|event| event.at_ms < before_ms);
    Ok(is_old.then(|| (first.value(), events.len() as u64)))
}

/// Removes some of the events that were written in schema 3. Returns their number, and true when none
/// are left.
fn trim_log(
    write: &WriteTransaction,
    codec: &Codec,
    before_ms: i64,
    events_max: u64,
) -> Result<(u64, bool), StoreError> {
    let mut log = write.open_table(LOG).map_err(failure)?;
    let mut removed = 0;
    while removed < events_max {
        let oldest = log.first().map_err(failure)?.map(|(number, event)| {
            let (name, revision) = event.value();
            (number.value(), name.to_owned(), revision)
        });
        let Some((number, name, revision)) = oldest else {
            return Ok((removed, true));
        };
        let mut events = write.open_table(EVENTS).map_err(failure)?;
        let is_old = match events.get((name.as_str(), revision)).map_err(failure)? {
            Some(body) => {
                // An event that cannot be read stays for an operator; it must not stop commits.
                let event = parse_key(&name).and_then(|key| codec.decode_event(&key, body.value()));
                event.is_ok_and(|event| event.updated_at().as_millisecond() < before_ms)
            }
            None => true,
        };
        if !is_old {
            return Ok((removed, false));
        }
        events.remove((name.as_str(), revision)).map_err(failure)?;
        log.remove(number).map_err(failure)?;
        removed += 1;
    }
    Ok((removed, log.is_empty().map_err(failure)?))
}
