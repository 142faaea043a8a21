//! The erasure of personal data from the events of a transaction.

use std::collections::HashMap;

use redis::{Cmd, streams::StreamRangeReply};

use super::{keys::erased_key, raw_event::RawEvent, store::RedisStore};
use crate::{
    store::{StoreError, record::Form},
    transaction::{Erasure, Transaction, TransactionKey},
};

impl RedisStore {
    /// Replaces the events of an erased transaction by their erased forms, and returns their number.
    pub(super) async fn replace_events(
        &self,
        of: &Transaction,
        erasure: &Erasure,
    ) -> Result<u64, StoreError> {
        let (key, mut replaced) = (of.key(), 0);
        let keys = self.keys(&key);
        let kept_since = of.updated_at().checked_sub(self.settings.event_retention);
        let kept_since = kept_since.map_or(0, |since| since.as_millisecond().max(0));
        for id in self.event_ids(&key).await? {
            let mut range = redis::cmd("XRANGE");
            range.arg(&keys.events).arg(&id).arg(&id);
            let found: StreamRangeReply = self.query(&range).await?;
            let Some(entry) = found.ids.first() else {
                continue;
            };
            let raw = RawEvent::of_stream(entry)?;
            let event = self.codec.decode_event(&key, &raw.body)?;
            if event.erasure().is_some() {
                continue;
            }
            let event = event.as_erased(erasure);
            let body = self.codec.encode_event(&event, Form::Compact)?;
            let erased = RawEvent {
                body: body.unwrap_or_default(),
                ..raw
            };
            let mut call = self.scripts.erase_event.key(&keys.events);
            call.key(erased_key(keys.partition))
                .arg(&id)
                .arg(erased.to_erased())
                .arg(kept_since);
            replaced += self.invoke::<u64>(&call).await?;
        }
        Ok(replaced)
    }

    /// Reads the erased events of a partition, by stream id.
    pub(super) async fn erased_events(&self, partition: u64) -> Result<Vec<RawEvent>, StoreError> {
        let get = Cmd::hgetall(erased_key(partition));
        let found: HashMap<String, Vec<u8>> = self.query(&get).await?;
        let events = found
            .iter()
            .map(|(id, value)| RawEvent::of_erased(id, value));
        events.collect()
    }

    /// Reads one erased event.
    pub(super) async fn erased_event(
        &self,
        key: &TransactionKey,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let get = Cmd::hget(erased_key(self.keys(key).partition), id);
        let found: Option<Vec<u8>> = self.query(&get).await?;
        let event = found
            .map(|value| RawEvent::of_erased(id, &value))
            .transpose()?;
        Ok(event.map(|event| event.body))
    }
}
