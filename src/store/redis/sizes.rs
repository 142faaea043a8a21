//! The sizes of the parts of a store.

use redis::{Cmd, FromRedisValue};

use super::{
    error::unreadable_reply,
    keys::{due_key, events_key, listing_key},
    server_info::info,
    store::RedisStore,
};
use crate::store::{PartSize, StoreError, StoreSizes, WalkPart, Walked};

/// The number of keys of one kind whose memory is measured.
const SAMPLE: usize = 256;

impl RedisStore {
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
        for (name, kind, is_hash, is_of_records) in [
            ("trace codes", "traces", true, true),
            ("earlier traces", "trace", false, true),
            ("tombstones", "gone", true, false),
            ("notes", "note", false, false),
        ] {
            let part = self.measure_kind(kind, is_hash).await?;
            parts.push(PartSize {
                name: name.to_owned(),
                is_of_records,
                ..part
            });
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
            if let Walked::Record { place, .. } = entry {
                read.add_command(memory_usage(&place));
                sampled += 1;
            }
        }
        let bytes: Vec<Option<u64>> = self.read_each(&read).await?;
        let bytes: u64 = bytes.into_iter().flatten().sum();
        Ok(PartSize {
            name: "records".to_owned(),
            entries: records,
            bytes: scaled(bytes, sampled, records),
            is_sampled: true,
            is_of_records: true,
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
            is_of_records: true,
        })
    }

    /// Measures the keys of one kind by a sample, and counts them; the entries in them where they are
    /// hashes.
    async fn measure_kind(&self, kind: &str, is_hash: bool) -> Result<PartSize, StoreError> {
        let (mut keys, mut entries, mut from) = (0, 0, None);
        let (mut bytes, mut sampled) = (0, 0);
        loop {
            let (page, next) = self.scan_keys(kind, from.as_deref()).await?;
            let mut measure = redis::pipe();
            for (key, _) in page.iter().take(SAMPLE.saturating_sub(sampled)) {
                measure.add_command(memory_usage(key));
            }
            sampled += measure.len();
            let measured: Vec<Option<u64>> = self.read_each(&measure).await?;
            bytes += measured.into_iter().flatten().sum::<u64>();
            let mut count = redis::pipe();
            for (key, _) in page.iter().filter(|_| is_hash) {
                count.hlen(key);
            }
            let counts: Vec<u64> = self.read_each(&count).await?;
            keys += page.len() as u64;
            entries += counts.into_iter().sum::<u64>();
            from = next;
            if from.is_none() {
                break;
            }
        }
        Ok(PartSize {
            name: kind.to_owned(),
            entries: if is_hash { entries } else { keys },
            bytes: scaled(bytes, sampled as u64, keys),
            is_sampled: true,
            is_of_records: true,
        })
    }
}

/// Scales the bytes of a sample to those of all.
fn scaled(bytes: u64, sampled: u64, all: u64) -> u64 {
    let scaled = bytes.checked_mul(all);
    scaled
        .and_then(|scaled| scaled.checked_div(sampled))
        .unwrap_or(0)
}

/// Builds the command that returns the memory of a key, of which it samples the elements.
fn memory_usage(key: &str) -> Cmd {
    let mut command = redis::cmd("MEMORY");
    command.arg("USAGE").arg(key);
    command
}
