//! Tombstones, in small hashes that Redis stores compactly; `retire.lua` writes them, and
//! `commit.lua` reads them.
//!
//! A partition has [`BUCKETS`] hashes. The field of a reference code is the first 16 bytes of its hash,
//! from which the partition follows as well, so that tombstones can be copied to another store. The
//! bucket comes from other bytes than the partition, so that they spread evenly. A field is 16 bytes, and its value a few, so an entry of a hash that is stored as a list pack
//! takes about 30 bytes. Redis keeps a hash of up to `hash-max-listpack-entries` (512) entries so:
//! with 64 partitions, 134 million tombstones.

use redis::Cmd;
use sha2::{Digest, Sha256};

use super::{
    keys::{account_asked_key, account_due_key, partition_of_digest, tombstones_key},
    listing::listing_rest,
    store::RedisStore,
};
use crate::{
    store::{
        Retirement, StoreError, SweptTombstones, Tombstone, listing,
        tombstone_form::{self, HASH_BYTES},
    },
    transaction::{Transaction, TransactionKey},
};

/// The number of buckets of each partition.
const BUCKETS: u64 = 4096;
/// The number of buckets in one call of `sweep.lua`.
const SWEPT_AT_ONCE: u64 = 16;

/// The place of a tombstone in its partition.
pub(super) struct TombstonePlace {
    /// The key of the bucket.
    pub(super) bucket: String,
    /// The field in the bucket.
    pub(super) field: Vec<u8>,
}

/// Returns the place of the tombstone of a reference code.
pub(super) fn place_of(key: &TransactionKey, partition: u64) -> TombstonePlace {
    let digest = Sha256::digest(key.as_str());
    place_in(partition, &digest)
}

/// Returns the place of a tombstone by the first 16 bytes of the hash of its reference code; `None`
/// for another number of bytes.
pub(super) fn place_of_hash(hash: &[u8], partitions: u64) -> Option<TombstonePlace> {
    let partition = partition_of_digest(hash) % partitions;
    (hash.len() == HASH_BYTES).then(|| place_in(partition, hash))
}

fn place_in(partition: u64, digest: &[u8]) -> TombstonePlace {
    let number = u64::from(digest[8]) << 8 | u64::from(digest[9]);
    TombstonePlace {
        bucket: tombstones_key(partition, number % BUCKETS),
        field: digest[..HASH_BYTES].to_vec(),
    }
}

impl RedisStore {
    /// Reads the tombstone of a transaction that has no record.
    pub(super) async fn read_tombstone(
        &self,
        key: &TransactionKey,
    ) -> Result<Option<Tombstone>, StoreError> {
        let place = place_of(key, self.keys(key).partition);
        let get = Cmd::hget(place.bucket, place.field);
        let text: Option<String> = self.query(&get).await?;
        text.map(|text| tombstone_form::decode(key, &text))
            .transpose()
    }

    /// Retires a record by compare-and-delete.
    pub(super) async fn retire_record(
        &self,
        last: &Transaction,
        tombstone: Option<&Tombstone>,
    ) -> Result<Retirement, StoreError> {
        let key = last.key();
        let keys = self.keys(&key);
        let place = place_of(&key, keys.partition);
        let mut call = self.scripts.retire.key(keys.record);
        call.key(keys.due)
            .key(account_due_key(keys.partition, last.account()))
            .key(account_asked_key(keys.partition, last.account()))
            .key(keys.listing)
            .key(place.bucket)
            .arg(last.version())
            .arg(last.token().to_string())
            .arg(key.to_string())
            .arg(place.field)
            .arg(tombstone.map_or_else(String::new, tombstone_form::encode))
            .arg(last.token().as_bytes().as_slice())
            .arg(listing_rest(&listing::entry_of(last).1));
        let retired: u64 = self.invoke(&call).await?;
        Ok(if retired == 1 {
            Retirement::Done
        } else {
            Retirement::Conflict
        })
    }

    /// Removes the ended tombstones of some buckets. The place to continue at is
    /// `<partition> <bucket>`.
    pub(super) async fn sweep_buckets(
        &self,
        before_day: i64,
        from: Option<&str>,
    ) -> Result<SweptTombstones, StoreError> {
        let (partition, bucket) = from.and_then(parse_place).unwrap_or((0, 0));
        if partition >= self.settings.partitions {
            let (removed, next) = (0, None);
            return Ok(SweptTombstones { removed, next });
        }
        let end = bucket.saturating_add(SWEPT_AT_ONCE).min(BUCKETS);
        let mut call = self.scripts.sweep.key(tombstones_key(partition, bucket));
        for number in bucket.saturating_add(1)..end {
            call.key(tombstones_key(partition, number));
        }
        call.arg(before_day);
        let removed = self.invoke(&call).await?;
        let next = match (partition, end) {
            (_, end) if end < BUCKETS => Some((partition, end)),
            (partition, _) if partition + 1 < self.settings.partitions => Some((partition + 1, 0)),
            _ => None,
        };
        Ok(SweptTombstones {
            removed,
            next: next.map(|(partition, bucket)| format!("{partition} {bucket}")),
        })
    }
}

fn parse_place(text: &str) -> Option<(u64, u64)> {
    let (partition, bucket) = text.split_once(' ')?;
    Some((partition.parse().ok()?, bucket.parse().ok()?))
}
