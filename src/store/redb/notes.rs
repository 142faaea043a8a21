//! Notes, and the seal, which is one of them.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::{
    error::failure,
    store::RedbStore,
    tables::{NOTES, NOTES_END},
};
use crate::store::{
    CasResult, Expiry, StoreError,
    epoch::{Seal, Seals},
};

/// The note that holds the seal of the only partition; see `store/epoch.rs`.
pub(super) const SEAL: &str = "seal";
/// The maximum number of expired notes that each write removes.
const EXPIRED_MAX: usize = 4;

impl RedbStore {
    /// Reads a note.
    pub(super) async fn read_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let owned = name.to_owned();
        let stored = self.read(move |transaction| read(transaction, &owned).map_err(failure));
        let open = |text| self.codec.open_note(name, text);
        stored.await?.map(open).transpose()
    }

    /// Compares and sets a note.
    pub(super) async fn cas_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        expiry: Expiry,
    ) -> Result<CasResult, StoreError> {
        let to = self.codec.seal_note(name, to)?;
        let (name, from) = (name.to_owned(), from.map(str::to_owned));
        let codec = Arc::clone(&self.codec);
        self.write(move |write| {
            // An encrypted text has many stored forms, so plain texts are compared.
            let stored = read_stored(write, &name).map_err(failure)?;
            let open = |text| codec.open_note(&name, text);
            let opened = stored.clone().map(open).transpose()?;
            if opened != from {
                return Ok(CasResult::Conflict(opened));
            }
            put(write, &name, stored.as_deref(), &to, expiry).map_err(failure)
        })
        .await
    }

    /// Reads the seal of the only partition.
    pub(super) async fn read_seals(&self) -> Result<Seals, StoreError> {
        let seal = self.read_note(SEAL).await?;
        Ok(vec![seal.map_or(Seal::Missing, Seal::Carried)])
    }

    /// Compares and sets the seal of the only partition.
    pub(super) async fn set_seal(
        &self,
        from: &[Seal],
        id: &str,
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let from = match from.first() {
            Some(Seal::Carried(seal)) => Some(seal.as_str()),
            _ => None,
        };
        self.cas_note(SEAL, from, id, expiry).await.map(drop)
    }
}

/// Reads a note in a read transaction.
pub(super) fn read(read: &ReadTransaction, name: &str) -> Result<Option<String>, redb::Error> {
    let notes = read.open_table(NOTES)?;
    let note = notes.get(name)?;
    Ok(note.map(|note| note.value().0.to_owned()))
}

/// Reads the seal in a write transaction.
pub(super) fn read_seal(write: &WriteTransaction) -> Result<Option<String>, redb::Error> {
    read_stored(write, SEAL)
}

fn read_stored(write: &WriteTransaction, name: &str) -> Result<Option<String>, redb::Error> {
    let notes = write.open_table(NOTES)?;
    let note = notes.get(name)?;
    Ok(note.map(|note| note.value().0.to_owned()))
}

/// Compares and sets a note, and removes some expired ones.
pub(super) fn put(
    write: &WriteTransaction,
    name: &str,
    from: Option<&str>,
    to: &str,
    expiry: Expiry,
) -> Result<CasResult, redb::Error> {
    let mut notes = write.open_table(NOTES)?;
    let mut ends = write.open_table(NOTES_END)?;
    let stored = notes.get(name)?.map(|note| {
        let (text, end) = note.value();
        (text.to_owned(), end)
    });
    if stored.as_ref().map(|(text, _)| text.as_str()) != from {
        return Ok(CasResult::Conflict(stored.map(|(text, _)| text)));
    }
    if let Some((_, end)) = stored {
        ends.remove((end, name))?;
    }
    let until = expiry.until.as_millisecond();
    notes.insert(name, (to, until))?;
    ends.insert((until, name), ())?;
    let past: Vec<(i64, String)> = ends
        .range(..(expiry.now.as_millisecond(), ""))?
        .take(EXPIRED_MAX)
        .map(|entry| {
            entry.map(|(entry, _)| {
                let (end, name) = entry.value();
                (end, name.to_owned())
            })
        })
        .collect::<Result<_, _>>()?;
    for (end, name) in past {
        notes.remove(name.as_str())?;
        ends.remove((end, name.as_str()))?;
    }
    Ok(CasResult::Done)
}
