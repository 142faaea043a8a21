//! What an operator's command reads and writes beside the contract.

use redis::{Cmd, Value, streams::StreamRangeReply};

use super::{
    keys::events_key,
    listing::listing_member,
    raw_event::RawEvent,
    store::RedisStore,
    tombstones::{TombstonePlace, place_of_hash},
    traces::is_trace_bucket,
};
use crate::{
    store::{Cursor, IndexEntries, Position, StoreError, Walked, listing},
    transaction::Transaction,
};

impl RedisStore {
    /// Reads the entries of a transaction in the indexes.
    pub(in crate::store) async fn read_index_entries(
        &self,
        transaction: &Transaction,
    ) -> Result<IndexEntries, StoreError> {
        let key = transaction.key();
        let keys = self.keys(&key);
        let (state, entry) = listing::entry_of(transaction);
        let mut read = redis::pipe();
        read.zscore(keys.listing, listing_member(state, &entry))
            .zscore(keys.due, key.as_str());
        let (listed, due): (Option<f64>, Option<f64>) = self.query_all(&read).await?;
        Ok(IndexEntries {
            is_listed: listed.is_some(),
            is_due: due.is_some(),
        })
    }

    /// Returns true when a record, or an entry of an index, is still there.
    pub(in crate::store) async fn holds(&self, entry: &Walked) -> Result<bool, StoreError> {
        let (index, member) = match entry {
            Walked::Listed {
                index,
                state,
                entry,
            } => (index, listing_member(state, entry)),
            Walked::Due { index, name } => (index, name.clone()),
            Walked::Trace { place, trace, name } => {
                let get = if is_trace_bucket(place) {
                    Cmd::hget(place, trace)
                } else {
                    Cmd::get(place)
                };
                let named: Option<String> = self.query(&get).await?;
                return Ok(named.as_ref() == Some(name));
            }
            Walked::Record { place, .. } => {
                let fields: u64 = self.query(&Cmd::hlen(place)).await?;
                return Ok(fields > 0);
            }
            _ => return Ok(true),
        };
        let score: Option<f64> = self.query(&Cmd::zscore(index, member)).await?;
        Ok(score.is_some())
    }

    /// Returns the cursor before the oldest event of every partition.
    pub(in crate::store) async fn events_start(&self) -> Result<Cursor, StoreError> {
        let mut cursor = self.read_head().await?;
        let mut read = redis::pipe();
        for partition in 0..self.settings.partitions {
            read.xrange_count(events_key(partition), "-", "+", 1);
        }
        let oldest: Vec<StreamRangeReply> = self.read_each(&read).await?;
        for (position, oldest) in cursor.positions.iter_mut().zip(oldest) {
            let first = oldest.ids.first().and_then(|event| {
                let Position { id, number } = RawEvent::of_stream(event).ok()?.position;
                let before = match id {
                    (ms, 0) => (ms.checked_sub(1)?, u64::MAX),
                    (ms, sequence) => (ms, sequence - 1),
                };
                Some(Position {
                    id: before,
                    number: number.saturating_sub(1),
                })
            });
            *position = first.unwrap_or(*position);
        }
        Ok(cursor)
    }

    /// Reads a tombstone by its hash.
    pub(in crate::store) async fn tombstone_text(
        &self,
        hash: &[u8],
    ) -> Result<Option<String>, StoreError> {
        let place = self.place_of_tombstone(hash)?;
        self.query(&Cmd::hget(place.bucket, place.field)).await
    }

    /// Writes a tombstone by its hash.
    pub(in crate::store) async fn put_tombstone(
        &self,
        hash: &[u8],
        text: &str,
    ) -> Result<(), StoreError> {
        let place = self.place_of_tombstone(hash)?;
        let set = Cmd::hset(place.bucket, place.field, text);
        self.query::<Value>(&set).await.map(drop)
    }

    fn place_of_tombstone(&self, hash: &[u8]) -> Result<TombstonePlace, StoreError> {
        let place = place_of_hash(hash, self.settings.partitions);
        let faulty = || StoreError::Unsuitable("a tombstone has no hash of 16 bytes".to_owned());
        place.ok_or_else(faulty)
    }
}
