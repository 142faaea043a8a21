//! The trimming of events that are older than `store.event_retention`: a little with each commit,
//! so that no commit waits for a long one.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::{
    error::failure,
    segments::read_segment,
    tables::{EVENTS, LOG, SEGMENTS},
};
use crate::store::{StoreError, key::parse_key, record::Codec};

/// The most segments that one commit removes: more than it adds.
const SEGMENTS_MAX: usize = 2;
/// The most events of schema 3 that one commit removes.
const EVENTS_MAX: usize = 4;

/// Removes some events from before a time, oldest first. The newest segment stays, because it tells
/// the number of the last event.
pub(super) fn trim(
    write: &WriteTransaction,
    codec: &Codec,
    before_ms: i64,
) -> Result<(), StoreError> {
    if !trim_log(write, codec, before_ms)? {
        return Ok(());
    }
    let mut segments = write.open_table(SEGMENTS).map_err(failure)?;
    for _ in 0..SEGMENTS_MAX {
        let Some(first) = oldest_before(&segments, before_ms)? else {
            return Ok(());
        };
        segments.remove(first).map_err(failure)?;
    }
    Ok(())
}

/// Returns the oldest segment if it is not the newest, and all of its events are from before a
/// time.
fn oldest_before(
    segments: &impl ReadableTable<u64, &'static [u8]>,
    before_ms: i64,
) -> Result<Option<u64>, StoreError> {
    let mut oldest = segments.iter().map_err(failure)?;
    let (Some(segment), Some(_)) = (oldest.next(), oldest.next()) else {
        return Ok(None);
    };
    let (first, bytes) = segment.map_err(failure)?;
    let events = read_segment(first.value(), bytes.value())?;
    let is_old = events.iter().all(|event| event.at_ms < before_ms);
    Ok(is_old.then(|| first.value()))
}

/// Removes some of the events that were written in schema 3. Returns true when none are left.
fn trim_log(write: &WriteTransaction, codec: &Codec, before_ms: i64) -> Result<bool, StoreError> {
    let mut log = write.open_table(LOG).map_err(failure)?;
    for _ in 0..EVENTS_MAX {
        let oldest = log.first().map_err(failure)?.map(|(number, event)| {
            let (name, revision) = event.value();
            (number.value(), name.to_owned(), revision)
        });
        let Some((number, name, revision)) = oldest else {
            return Ok(true);
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
            return Ok(false);
        }
        events.remove((name.as_str(), revision)).map_err(failure)?;
        log.remove(number).map_err(failure)?;
    }
    log.is_empty().map_err(failure)
}
