//! Notes: strings that expire, written by `put_note.lua`.

use redis::{Cmd, Value};

use super::{cas_reply::CasReply, error::unreadable_reply, store::RedisStore};
use crate::store::{CasResult, Expiry, StoreError};

impl RedisStore {
    /// Reads a note.
    pub(super) async fn read_note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.query(&Cmd::get(self.note_key(name))).await
    }

    /// Compares and sets a note.
    pub(super) async fn cas_note(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
        expiry: Expiry,
    ) -> Result<CasResult, StoreError> {
        let mut call = self.scripts.put_note.key(self.note_key(name));
        call.arg(u8::from(from.is_some()))
            .arg(from.unwrap_or_default())
            .arg(to)
            .arg(expiry.until.as_millisecond());
        let reply: Vec<Value> = self.invoke(&call).await?;
        match CasReply::read(reply).map_err(|error| unreadable_reply(&error))? {
            CasReply::Done => Ok(CasResult::Done),
            CasReply::Stored(stored) => Ok(CasResult::Conflict(stored)),
            CasReply::OtherEpoch | CasReply::Retired(_) => Err(StoreError::Indeterminate(
                "unexpected reply of put_note.lua".to_owned(),
            )),
        }
    }
}
