//! The erasure of personal data from the events of a transaction.

use redb::{ReadableTable, WriteTransaction};

use super::{
    error::failure,
    segments::{segment_of, write_segment},
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{EVENTS, RECORDS, SEGMENTS},
};
use std::sync::Arc;

use crate::{
    store::{
        StoreError,
        record::{Codec, Form},
    },
    transaction::{Erasure, Transaction, TransactionKey},
};

impl RedbStore {
    /// Replaces the events of an erased transaction by their erased forms, and returns their number.
    pub(super) async fn replace_events(
        &self,
        of: &Transaction,
        erasure: &Erasure,
    ) -> Result<u64, StoreError> {
        let (key, erasure, codec) = (of.key(), erasure.clone(), Arc::clone(&self.codec));
        self.write(move |write| {
            let eraser = Eraser {
                codec: &codec,
                key: &key,
                erasure: &erasure,
            };
            Ok(eraser.replace_in_segments(write)? + eraser.replace_earlier(write)?)
        })
        .await
    }
}

/// The erasure of one transaction.
struct Eraser<'a> {
    codec: &'a Codec,
    key: &'a TransactionKey,
    erasure: &'a Erasure,
}

impl Eraser<'_> {
    /// Returns the erased form of an event; `None` when it is erased already.
    fn erased(&self, body: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let event = self.codec.decode_event(self.key, body)?;
        if event.erasure().is_some() {
            return Ok(None);
        }
        let event = event.as_erased(self.erasure);
        self.codec.encode_event(&event, Form::Compact)
    }

    fn replace_in_segments(&self, write: &WriteTransaction) -> Result<u64, StoreError> {
        let mut number = {
            let records = write.open_table(RECORDS).map_err(failure)?;
            let row = records.get(self.key.as_str()).map_err(failure)?;
            row.map_or(0, |row| StoredRecord::read(row.value()).last_event)
        };
        let mut segments = write.open_table(SEGMENTS).map_err(failure)?;
        let mut replaced = 0;
        while number > 0 {
            let Some((first, mut events)) = segment_of(&segments, number)? else {
                break;
            };
            let index = usize::try_from(number - first).unwrap_or(usize::MAX);
            let Some(event) = events.get_mut(index) else {
                break;
            };
            number = event.previous;
            if let Some(body) = self.erased(&event.body)? {
                event.body = body;
                let row = write_segment(&events);
                segments.insert(first, row.as_slice()).map_err(failure)?;
                replaced += 1;
            }
        }
        Ok(replaced)
    }

    /// Replaces the events that were written in schema 3.
    fn replace_earlier(&self, write: &WriteTransaction) -> Result<u64, StoreError> {
        let mut table = write.open_table(EVENTS).map_err(failure)?;
        let name = self.key.as_str();
        let mut found = Vec::new();
        for entry in table.range((name, 0)..=(name, u64::MAX)).map_err(failure)? {
            let (event, body) = entry.map_err(failure)?;
            if let Some(body) = self.erased(body.value())? {
                found.push((event.value().1, body));
            }
        }
        for (revision, body) in &found {
            let inserted = table.insert((name, *revision), body.as_slice());
            inserted.map_err(failure)?;
        }
        Ok(found.len() as u64)
    }
}
