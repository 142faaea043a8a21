//! Notes: strings that expire, written by `put_note.lua`.

use redis::{Cmd, Value};

use super::{cas_reply::CasReply, error::unreadable_reply, store::RedisStore};
use crate::store::{CasResult, Expiry, NoteTexts, StoreError};

impl RedisStore {
    /// Reads a note.
    pub(super) async fn read_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let stored = self.read_stored_note(name).await?;
        stored
            .map(|text| self.codec.open_note(name, text))
            .transpose()
    }

    async fn read_stored_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.query(&Cmd::get(self.note_key(name))).await
    }

    /// Decrypts the texts of notes that were read together, as far as they are encrypted.
    pub(super) fn open_notes(
        &self,
        names: &[String],
        texts: NoteTexts,
    ) -> Result<NoteTexts, StoreError> {
        let open = |(name, text): (&String, Option<String>)| {
            let opened = text.map(|text| self.codec.open_note(name, text));
            opened.transpose()
        };
        names.iter().zip(texts).map(open).collect()
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
        let mut from = from.map(str::to_owned);
        if from.is_some() && self.codec.seals_note(name) {
            // An encrypted text has many stored forms: the one that is stored now is compared as
            // plain text here, and as it is stored by the script.
            let stored = self.read_stored_note(name).await?;
            let open = |text| self.codec.open_note(name, text);
            let opened = stored.clone().map(open).transpose()?;
            if opened != from {
                return Ok(CasResult::Conflict(opened));
            }
            from = stored;
        }
        let mut call = self.scripts.put_note.key(self.note_key(name));
        call.arg(u8::from(from.is_some()))
            .arg(from.as_deref().unwrap_or_default())
            .arg(to)
            .arg(expiry.until.as_millisecond());
        let reply: Vec<Value> = self.invoke(&call).await?;
        match CasReply::read(reply).map_err(|error| unreadable_reply(&error))? {
            CasReply::Done => Ok(CasResult::Done),
            CasReply::Stored(stored) => {
                let stored = stored.map(|text| self.codec.open_note(name, text));
                Ok(CasResult::Conflict(stored.transpose()?))
            }
            CasReply::OtherEpoch | CasReply::Retired(_) => Err(StoreError::Indeterminate(
                "unexpected reply of put_note.lua".to_owned(),
            )),
        }
    }
}
