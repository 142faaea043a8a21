//! The names of keys; the table in [`super`] lists their contents.

use sha2::{Digest, Sha256};

use super::store::RedisStore;
use crate::{
    store::notes::marked_key,
    transaction::{AccountName, TraceCode, TransactionKey},
};

impl RedisStore {
    /// Returns the keys of a transaction.
    pub(super) fn keys(&self, key: &TransactionKey) -> Keys {
        let partition = partition_of(&[key.as_str()], self.settings.partitions);
        Keys {
            partition,
            record: format!("okb:{{{partition}}}:tx:{key}"),
            due: due_key(partition),
            events: events_key(partition),
            listing: listing_key(partition),
            number: number_key(partition),
            seal: seal_key(partition),
        }
    }

    /// Returns the key of a note. In a cluster, a mark lies in the partition of its reference code, so
    /// that whatever has a later claim has the mark as well.
    pub(super) fn note_key(&self, name: &str) -> String {
        note_key_in(self.note_partition(name), name)
    }

    /// Returns the partition of a note.
    pub(super) fn note_partition(&self, name: &str) -> u64 {
        let marked = self.servers.is_cluster().then(|| marked_key(name));
        let hashed = marked.flatten().unwrap_or(name);
        partition_of(&[hashed], self.settings.partitions)
    }

    /// Returns the key at which a mark lies that was written before the store became a cluster; `None`
    /// for any other note.
    pub(super) fn former_note_key(&self, name: &str) -> Option<String> {
        let is_moved = self.servers.is_cluster() && marked_key(name).is_some();
        is_moved.then(|| note_key_in(partition_of(&[name], self.settings.partitions), name))
    }

    /// Returns the key of a trace code.
    pub(super) fn trace_key(&self, account: &AccountName, trace_code: &TraceCode) -> String {
        let parts = [account.as_str(), "\0", trace_code.as_str()];
        let partition = partition_of(&parts, self.settings.partitions);
        format!("okb:{{{partition}}}:trace:{account}:{trace_code}")
    }
}

/// The keys that one commit touches.
pub(super) struct Keys {
    pub(super) partition: u64,
    pub(super) record: String,
    pub(super) due: String,
    pub(super) events: String,
    pub(super) listing: String,
    pub(super) number: String,
    pub(super) seal: String,
}

impl Keys {
    /// Returns the partition as an index of lists of partitions.
    pub(super) fn partition_index(&self) -> usize {
        usize::try_from(self.partition).unwrap_or(usize::MAX)
    }
}

fn note_key_in(partition: u64, name: &str) -> String {
    format!("okb:{{{partition}}}:note:{name}")
}

/// Returns the partition of a text: its hash modulo the number of partitions.
fn partition_of(parts: &[&str], partitions: u64) -> u64 {
    partition_of_digest(&Sha256::digest(parts.concat())) % partitions
}

/// Returns the number that determines the partition: the first 8 bytes of a hash.
pub(super) fn partition_of_digest(digest: &[u8]) -> u64 {
    let first = digest.iter().take(8);
    first.fold(0_u64, |n, byte| n << 8 | u64::from(*byte))
}

/// Returns the key of the due index of a partition.
pub(super) fn due_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:due")
}

/// Returns the key of the due index of one account in a partition.
pub(super) fn account_due_key(partition: u64, account: &AccountName) -> String {
    format!("okb:{{{partition}}}:due:{account}")
}

/// Returns the key of the index of the requested checks of one account.
pub(super) fn account_asked_key(partition: u64, account: &AccountName) -> String {
    format!("okb:{{{partition}}}:asked:{account}")
}

/// Returns the key of the event stream of a partition.
pub(super) fn events_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:events")
}

/// Returns the key of the erased events of a partition.
pub(super) fn erased_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:erased")
}

/// Returns the key of the listing of a partition.
pub(super) fn listing_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:listing")
}

/// Returns the key of the number of a partition's last event.
pub(super) fn number_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:number")
}

/// Returns the key of a bucket of tombstones.
pub(super) fn tombstones_key(partition: u64, bucket: u64) -> String {
    format!("okb:{{{partition}}}:gone:{bucket:03x}")
}

/// Returns the key of the seal of a partition.
pub(super) fn seal_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:seal")
}
