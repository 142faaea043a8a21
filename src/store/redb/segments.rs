//! The events of a store of schema 4, in segments of about one page of the file.
//!
//! A row for each event would leave half of each page empty: redb splits a full page in the middle,
//! and events are only ever appended. A segment is a row that grows until it fills its page.
//!
//! A segment is stored under the number of its first event; its events follow each other without
//! gaps. Each one names the event before it of the same transaction, so the events of a transaction
//! are a chain that begins at its record.

use redb::{ReadableTable, WriteTransaction};

use super::{
    error::failure,
    tables::{LOG, SEGMENTS},
    varint,
};
use crate::store::StoreError;

/// The length up to which a segment grows. A row of that length fills a page of 4096 bytes.
const SEGMENT_BYTES_MAX: usize = 4072;

/// An event in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredEvent {
    /// The key of its transaction.
    pub(super) key: String,
    /// The number of the event before it of the same transaction; 0 when a segment holds none.
    pub(super) previous: u64,
    /// The time of the change, in Unix milliseconds.
    pub(super) at_ms: i64,
    /// The body (`store/record/`).
    pub(super) body: Vec<u8>,
}

impl StoredEvent {
    fn write(&self, to: &mut Vec<u8>) {
        varint::write(to, self.key.len() as u64);
        to.extend_from_slice(self.key.as_bytes());
        varint::write(to, self.previous);
        varint::write(to, self.at_ms.unsigned_abs());
        varint::write(to, self.body.len() as u64);
        to.extend_from_slice(&self.body);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let text = |from: &mut &[u8]| {
            let length = usize::try_from(varint::read(from)?).ok()?;
            let (text, rest) = from.split_at_checked(length)?;
            *from = rest;
            Some(text.to_vec())
        };
        Some(Self {
            key: String::from_utf8(text(from)?).ok()?,
            previous: varint::read(from)?,
            at_ms: i64::try_from(varint::read(from)?).ok()?,
            body: text(from)?,
        })
    }
}

/// Reads the events of a segment, in order.
pub(super) fn read_segment(first: u64, bytes: &[u8]) -> Result<Vec<StoredEvent>, StoreError> {
    let (mut left, mut events) = (bytes, Vec::new());
    while !left.is_empty() {
        let event = StoredEvent::read(&mut left).ok_or_else(|| StoreError::Corrupt {
            key: format!("the segment {first} of events"),
            problem: "it cannot be read".to_owned(),
        })?;
        events.push(event);
    }
    Ok(events)
}

/// Writes a segment.
pub(super) fn write_segment(events: &[StoredEvent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        event.write(&mut bytes);
    }
    bytes
}

/// Appends an event, and returns its number.
pub(super) fn append(write: &WriteTransaction, event: &StoredEvent) -> Result<u64, StoreError> {
    let mut segments = write.open_table(SEGMENTS).map_err(failure)?;
    let last = segments.last().map_err(failure)?;
    let last = last.map(|(first, bytes)| (first.value(), bytes.value().to_vec()));
    let (first, mut bytes, number) = if let Some((first, bytes)) = last {
        let number = first + read_segment(first, &bytes)?.len() as u64;
        (first, bytes, number)
    } else {
        let number = last_of_log(write)? + 1;
        (number, Vec::new(), number)
    };
    let length = bytes.len();
    event.write(&mut bytes);
    let is_full = length > 0 && bytes.len() > SEGMENT_BYTES_MAX;
    let row = if is_full {
        (number, bytes.split_off(length))
    } else {
        (first, bytes)
    };
    let inserted = segments.insert(row.0, row.1.as_slice());
    inserted.map_err(failure)?;
    Ok(number)
}

/// Returns the number of the last event that was written in schema 3; 0 when there is none.
fn last_of_log(write: &WriteTransaction) -> Result<u64, StoreError> {
    let log = write.open_table(LOG).map_err(failure)?;
    let last = log.last().map_err(failure)?;
    Ok(last.map_or(0, |(number, _)| number.value()))
}

/// Returns the number of the last event; 0 when there is none.
pub(super) fn last_number(
    segments: Option<&impl ReadableTable<u64, &'static [u8]>>,
    log: &impl ReadableTable<u64, (&'static str, u64)>,
) -> Result<u64, StoreError> {
    let last = segments.map(ReadableTable::last).transpose();
    if let Some((first, bytes)) = last.map_err(failure)?.flatten() {
        let events = read_segment(first.value(), bytes.value())?;
        return Ok((first.value() + events.len() as u64).saturating_sub(1));
    }
    let last = log.last().map_err(failure)?;
    Ok(last.map_or(0, |(number, _)| number.value()))
}

/// Returns the segment that holds an event of this number, with the number of its first one.
pub(super) fn segment_of(
    segments: &impl ReadableTable<u64, &'static [u8]>,
    number: u64,
) -> Result<Option<(u64, Vec<StoredEvent>)>, StoreError> {
    let mut before = segments.range(..=number).map_err(failure)?;
    let Some(segment) = before.next_back() else {
        return Ok(None);
    };
    let (first, bytes) = segment.map_err(failure)?;
    let events = read_segment(first.value(), bytes.value())?;
    Ok(Some((first.value(), events)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_reads_back_as_written_and_nothing_else_is_read() {
        let event = |number: u64| StoredEvent {
            key: format!("reference{number}"),
            previous: number * 1_000_000,
            at_ms: 1_800_000_000_000,
            body: vec![1; usize::try_from(number).unwrap() * 100],
        };
        let events: Vec<_> = (0..4).map(event).collect();
        let bytes = write_segment(&events);
        assert_eq!(read_segment(1, &bytes).unwrap(), events);
        assert!(read_segment(1, &bytes[..bytes.len() - 1]).is_err());
        // A length far beyond the segment allocates nothing.
        let mut huge = Vec::new();
        varint::write(&mut huge, u64::MAX);
        assert!(read_segment(1, &huge).is_err());
    }
}
