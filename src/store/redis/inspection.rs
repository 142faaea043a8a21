//! What an operator's command reads and writes beside the contract.

use redis::{Cmd, FromRedisValue, Value, streams::StreamRangeReply};

use super::{
    error::unreadable_reply,
    keys::{due_key, events_key, listing_key},
    listing::listing_member,
    raw_event::RawEvent,
    server_info::info,
    store::RedisStore,
    tombstones::place_of_hash,
    traces::is_trace_bucket,
};
use crate::{
    store::{
        Cursor, IndexEntries, PartSize, Position, StoreError, StoreSizes, WalkPart, Walked, listing,
    },
    transaction::Transaction,
};

/// The number of records whose memory is measured.
const SAMPLE: usize = 256;

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

    /// Returns true when an entry is still in its index.
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

    /// Reads the memory of the servers, and of the parts of the store; that of the records by a
    /// sample. `records` is their number.
    pub(in crate::store) async fn read_sizes(
        &self,
        records: u64,
    ) -> Result<StoreSizes, StoreError> {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let mut total_bytes = 0;
        for reply in self.ask_servers(&ask).await? {
            let text =
                String::from_redis_value(reply).map_err(|error| unreadable_reply(&error.into()))?;
            total_bytes += info(&text, "used_memory").parse::<u64>().unwrap_or(0);
        }
        let mut parts = vec![self.sample_records(records).await?];
        let partitions = 0..self.settings.partitions;
        for (name, key, count) in [
            ("listing", listing_key as fn(u64) -> String, "ZCARD"),
            ("due", due_key, "ZCARD"),
            ("events", events_key, "XLEN"),
        ] {
            let keys: Vec<String> = partitions.clone().map(key).collect();
            parts.push(self.measure(name, &keys, count).await?);
        }
        Ok(StoreSizes { total_bytes, parts })
    }

    /// Measures the records by a sample.
    async fn sample_records(&self, records: u64) -> Result<PartSize, StoreError> {
        let (mut names, mut from) = (Vec::new(), None);
        while names.len() < SAMPLE {
            let page = self
                .read_walk(
                    WalkPart::Records,
                    from.as_deref(),
                    jiff::Timestamp::UNIX_EPOCH,
                )
                .await?;
            names.extend(page.entries);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let mut read = redis::pipe();
        let mut sampled = 0;
        for entry in names.into_iter().take(SAMPLE) {
            if let Walked::Record(name) = entry
                && let Ok(key) = crate::store::key::parse_key(&name)
            {
                read.add_command(memory_usage(&self.keys(&key).record));
                sampled += 1;
            }
        }
        let bytes: Vec<Option<u64>> = self.read_each(&read).await?;
        let bytes: u64 = bytes.into_iter().flatten().sum();
        Ok(PartSize {
            name: "records".to_owned(),
            entries: records,
            bytes: bytes
                .checked_mul(records)
                .and_then(|all| all.checked_div(sampled))
                .unwrap_or(0),
            is_sampled: true,
        })
    }

    /// Measures keys, and counts their entries.
    async fn measure(
        &self,
        name: &str,
        keys: &[String],
        count: &str,
    ) -> Result<PartSize, StoreError> {
        let mut read = redis::pipe();
        for key in keys {
            read.add_command(memory_usage(key));
            read.cmd(count).arg(key);
        }
        let replies: Vec<Option<u64>> = self.read_each(&read).await?;
        let sum = |skip: usize| replies.iter().skip(skip).step_by(2).flatten().sum();
        Ok(PartSize {
            name: name.to_owned(),
            entries: sum(1),
            bytes: sum(0),
            is_sampled: true,
        })
    }

    /// Writes a tombstone by its hash.
    pub(in crate::store) async fn put_tombstone(
        &self,
        hash: &[u8],
        text: &str,
    ) -> Result<(), StoreError> {
        let Some(place) = place_of_hash(hash, self.settings.partitions) else {
            return Err(StoreError::Unsuitable(
                "a tombstone has no hash of 16 bytes".to_owned(),
            ));
        };
        let set = Cmd::hset(place.bucket, place.field, text);
        self.query::<Value>(&set).await.map(drop)
    }
}

/// Builds the command that returns the memory of a key, of which it samples the elements.
fn memory_usage(key: &str) -> Cmd {
    let mut command = redis::cmd("MEMORY");
    command.arg("USAGE").arg(key);
    command
}
