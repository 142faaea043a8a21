//! A row of the records: a body and, in schema 4, the number of the transaction's last event.
//!
//! The row is `0xE0`, the number, and the body. A row of schema 3 is the body alone, which never
//! begins with that byte (`store/record/`).

use super::varint;

/// The first byte of a row that names its last event.
const WITH_EVENT: u8 = 0xE0;

/// A row of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredRecord<'a> {
    /// The number of the last event in a segment; 0 when there is none.
    pub(super) last_event: u64,
    /// The body.
    pub(super) body: &'a [u8],
}

impl<'a> StoredRecord<'a> {
    /// Reads a row. One that cannot be read is returned as a body, which is then rejected.
    pub(super) fn read(row: &'a [u8]) -> Self {
        let whole = Self {
            last_event: 0,
            body: row,
        };
        let Some((&WITH_EVENT, mut rest)) = row.split_first() else {
            return whole;
        };
        match varint::read(&mut rest) {
            Some(last_event) => Self {
                last_event,
                body: rest,
            },
            None => whole,
        }
    }

    /// Writes the row of schema 4.
    pub(super) fn write(self) -> Vec<u8> {
        let mut row = vec![WITH_EVENT];
        varint::write(&mut row, self.last_event);
        row.extend_from_slice(self.body);
        row
    }
}
