//! The commit: one write transaction for record, event, listing and due indexes.

use std::sync::Arc;

use jiff::Timestamp;
use redb::{ReadableTable, WriteTransaction};

use super::{
    due::set_due,
    error::failure,
    notes,
    segments::{self, StoredEvent},
    store::RedbStore,
    stored_record::StoredRecord,
    tables::{EVENTS, LISTING, LOG, RECORDS},
    tombstones::tombstone_in,
    trimming::{self, TrimBounds},
};
use crate::{
    store::{
        Commit, StoreError,
        epoch::parts_of,
        listing,
        record::{Codec, Form},
    },
    transaction::{Change, Transaction},
};

/// The writes of a commit, encoded before its transaction begins.
struct Encoded {
    change: Change,
    form: Form,
    record: Vec<u8>,
    /// The body of the event; `None` when there is none, or the record serves as one.
    event: Option<Vec<u8>>,
    /// The seal that the store must carry; empty for any.
    seal: String,
    /// The time, in Unix milliseconds, before which events may be trimmed.
    trim_before_ms: i64,
}

impl RedbStore {
    /// Commits a change by compare-and-set, and releases its lease.
    pub(super) async fn commit_change(
        &self,
        change: &Change,
        epoch: Option<&str>,
    ) -> Result<Commit, StoreError> {
        let named = epoch.map(parts_of);
        if named.is_some_and(|(epoch, _)| !epoch.is_empty() && epoch != self.epoch) {
            return Ok(Commit::OtherEpoch);
        }
        let name = change.transaction.key().to_string();
        let releases = change.releases;
        let form = self.codec.form();
        let transaction = &change.transaction;
        let kept_since = transaction.updated_at().checked_sub(self.event_retention);
        let event = if change.is_event {
            self.codec.encode_event(transaction, form)?
        } else {
            None
        };
        let encoded = Encoded {
            form,
            record: self.codec.encode_record(transaction, form)?,
            event,
            seal: named.map_or("", |(_, seal)| seal).to_owned(),
            trim_before_ms: kept_since.map_or(i64::MIN, Timestamp::as_millisecond),
            change: change.clone(),
        };
        let codec = Arc::clone(&self.codec);
        let committed = self
            .write_bytes(2 * encoded.record.len(), move |write| {
                compare_and_save(write, &codec, &encoded)
            })
            .await?;
        if let (Commit::Done, Some(lease)) = (&committed, releases) {
            self.leases.release(&name, lease);
        }
        Ok(committed)
    }
}

/// Saves a change if the stored version is its base version and the store carries its seal.
fn compare_and_save(
    write: &WriteTransaction,
    codec: &Codec,
    encoded: &Encoded,
) -> Result<Commit, StoreError> {
    let seal = encoded.seal.as_str();
    let is_sealed = || notes::read_seal(write).map(|stored| stored.as_deref() == Some(seal));
    if !seal.is_empty() && !is_sealed().map_err(failure)? {
        return Ok(Commit::OtherEpoch);
    }
    let key = encoded.change.transaction.key();
    let (stored, last_event) = {
        let table = write.open_table(RECORDS).map_err(failure)?;
        let row = table.get(key.as_str()).map_err(failure)?;
        match row {
            Some(row) => {
                let row = StoredRecord::read(row.value());
                (Some(codec.decode_record(&key, row.body)?), row.last_event)
            }
            None => (None, 0),
        }
    };
    if stored.is_none()
        && let Some(tombstone) = tombstone_in(write, &key)?
    {
        return Err(StoreError::Retired(tombstone));
    }
    if stored.as_ref().map(|stored| stored.base()) != encoded.change.from {
        return Ok(Commit::Conflict(stored));
    }
    save(write, key.as_str(), stored.as_deref(), last_event, encoded)?;
    if encoded.form == Form::Compact && encoded.change.is_event {
        let bounds = TrimBounds::COMMIT;
        trimming::trim(write, codec, encoded.trim_before_ms, bounds)?;
    }
    Ok(Commit::Done)
}

fn save(
    write: &WriteTransaction,
    key: &str,
    stored: Option<&Transaction>,
    last_event: u64,
    encoded: &Encoded,
) -> Result<(), StoreError> {
    let transaction = &encoded.change.transaction;
    match encoded.form {
        Form::Json => save_json(write, key, encoded).map_err(failure)?,
        Form::Compact => save_compact(write, key, last_event, encoded)?,
    }
    let relist = || {
        let mut listing = write.open_table(LISTING)?;
        if let Some(stored) = stored {
            let (state, entry) = listing::entry_of(stored);
            listing.remove((state, entry.created_ms, key))?;
        }
        let (state, entry) = listing::entry_of(transaction);
        listing.insert((state, entry.created_ms, key), ())?;
        set_due(write, key, transaction)
    };
    relist().map_err(failure)
}

/// Writes record and event as an earlier release does.
fn save_json(write: &WriteTransaction, key: &str, encoded: &Encoded) -> Result<(), redb::Error> {
    let (change, body) = (&encoded.change, encoded.record.as_slice());
    write.open_table(RECORDS)?.insert(key, body)?;
    if change.is_event {
        let revision = change.transaction.revision();
        write.open_table(EVENTS)?.insert((key, revision), body)?;
        let mut log = write.open_table(LOG)?;
        let number = log.last()?.map_or(0, |(number, _)| number.value()) + 1;
        log.insert(number, (key, revision))?;
    }
    Ok(())
}

fn save_compact(
    write: &WriteTransaction,
    key: &str,
    previous: u64,
    encoded: &Encoded,
) -> Result<(), StoreError> {
    let mut last_event = previous;
    if encoded.change.is_event {
        let event = StoredEvent {
            key: key.to_owned(),
            previous,
            at_ms: encoded.change.transaction.updated_at().as_millisecond(),
            body: encoded.event.clone().unwrap_or_default(),
        };
        last_event = segments::append(write, &event)?;
    }
    let row = StoredRecord {
        last_event,
        body: &encoded.record,
    };
    let mut records = write.open_table(RECORDS).map_err(failure)?;
    let inserted = records.insert(key, row.write().as_slice());
    inserted.map(drop).map_err(failure)
}
