//! The erasure of personal data from the events of a transaction.

use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};

use super::{
    error::failure,
    segments::{segment_of, write_segment},
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{EVENTS, RECORDS, SEGMENTS},
};
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
        let eraser = Arc::new(Eraser {
            codec,
            key,
            erasure,
        });
        let mut replaced = 0;
        // One row in each transaction: see SUBTLE in `overwriting.rs`.
        loop {
            let eraser = Arc::clone(&eraser);
            let step = self.write(move |write| eraser.replace_some(write)).await?;
            if step == 0 {
                return Ok(replaced);
            }
            replaced += step;
        }
    }
}

/// The erasure of one transaction.
struct Eraser {
    codec: Arc<Codec>,
    key: TransactionKey,
    erasure: Erasure,
}

impl Eraser {
    /// Replaces the events of one row, and returns their number; 0 when none is left.
    fn replace_some(&self, write: &WriteTransaction) -> Result<u64, StoreError> {
        match self.replace_in_segment(write)? {
            0 => self.replace_earlier(write),
            replaced => Ok(replaced),
        }
    }

    /// Returns the erased form of an event; `None` when it is erased already.
    fn erased(&self, body: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let event = self.codec.decode_event(&self.key, body)?;
        if event.erasure().is_some() {
            return Ok(None);
        }
        let event = event.as_erased(&self.erasure);
        self.codec.encode_event(&event, Form::Compact)
    }

    /// Replaces the events in the last segment that has some.
    fn replace_in_segment(&self, write: &WriteTransaction) -> Result<u64, StoreError> {
        let mut number = {
            let records = write.open_table(RECORDS).map_err(failure)?;
            let row = records.get(self.key.as_str()).map_err(failure)?;
            row.map_or(0, |row| StoredRecord::read(row.value()).last_event)
        };
        let mut segments = write.open_table(SEGMENTS).map_err(failure)?;
        while number > 0 {
            let Some((first, mut events)) = segment_of(&segments, number)? else {
                break;
            };
            let mut replaced = 0;
            while number >= first {
                let index = usize::try_from(number - first).unwrap_or(usize::MAX);
                let Some(event) = events.get_mut(index) else {
                    return Ok(replaced);
                };
                number = event.previous;
                if let Some(body) = self.erased(&event.body)? {
                    event.body = body;
                    replaced += 1;
                }
            }
            if replaced > 0 {
                let row = write_segment(&events);
                segments.insert(first, row.as_slice()).map_err(failure)?;
                return Ok(replaced);
            }
        }
        Ok(0)
    }

    /// Replaces an event that was written in schema 3.
    fn replace_earlier(&self, write: &WriteTransaction) -> Result<u64, StoreError> {
        let mut table = write.open_table(EVENTS).map_err(failure)?;
        let name = self.key.as_str();
        let mut found = None;
        for entry in table.range((name, 0)..=(name, u64::MAX)).map_err(failure)? {
            let (event, body) = entry.map_err(failure)?;
            if let Some(body) = self.erased(body.value())? {
                found = Some((event.value().1, body));
                break;
            }
        }
        let Some((revision, body)) = found else {
            return Ok(0);
        };
        let inserted = table.insert((name, revision), body.as_slice());
        inserted.map_err(failure)?;
        Ok(1)
    }
}
