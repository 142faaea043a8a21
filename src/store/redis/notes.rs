//! Notes: strings that expire, written by `put_note.lua`.

use redis::{Cmd, Value};

use super::{cas_reply::CasReply, error::unreadable_reply, keys::seal_key, store::RedisStore};
use crate::store::{CasResult, Expiry, NoteTexts, StoreError};

impl RedisStore {
    /// Reads a note.
    pub(super) async fn read_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = self.find_note(name).await?.text();
        found
            .map(|text| self.codec.open_note(name, text))
            .transpose()
    }

    async fn find_note(&self, name: &str) -> Result<FoundNote, StoreError> {
        let get = Cmd::get(self.note_key(name));
        let Some(former) = self.former_note_key(name) else {
            let here = self.query(&get).await?;
            return Ok(FoundNote { here, former: None });
        };
        let mut read = redis::pipe();
        read.add_command(get).get(former);
        let (here, former) = self.query_all(&read).await?;
        Ok(FoundNote { here, former })
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
        let is_sealed = from.is_some() && self.codec.may_be_sealed(name);
        if is_sealed || self.former_note_key(name).is_some() {
            // An encrypted text has many stored forms: the one that is stored now is compared as
            // plain text here, and as it is stored by the script. A mark at its former place is
            // written anew at the present one.
            let found = self.find_note(name).await?;
            let here = found.here.clone();
            let open = |text| self.codec.open_note(name, text);
            let opened = found.text().map(open).transpose()?;
            if opened != from {
                return Ok(CasResult::Conflict(opened));
            }
            from = here;
        }
        let mut call = self.scripts.put_note.key(self.note_key(name));
        call.key(seal_key(self.note_partition(name)))
            .arg(u8::from(from.is_some()))
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

/// A note as it is stored.
struct FoundNote {
    /// The text at its place.
    here: Option<String>,
    /// The text at the place of a mark from before the store became a cluster, where nothing writes
    /// any more.
    former: Option<String>,
}

impl FoundNote {
    fn text(self) -> Option<String> {
        self.here.or(self.former)
    }
}
