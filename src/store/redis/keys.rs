//! The names of keys, and the entries of a listing. The table at the head of the
//! module above says what they hold.

use sha2::{Digest, Sha256};

use super::RedisStore;
use crate::{
    store::Listed,
    transaction::{AccountName, TraceCode, TransactionKey},
};

impl RedisStore {
    pub(super) fn partition(&self, account: &AccountName, name: &str) -> u64 {
        partition_of(&[account.as_str(), "\0", name], self.settings.partitions)
    }

    pub(super) fn keys(&self, key: &TransactionKey) -> Keys {
        let partition = self.partition(key.account(), key.reference());
        Keys {
            record: format!("okb:{{{partition}}}:tx:{key}"),
            due: due_key(partition),
            events: events_key(partition),
            listing: listing_key(partition),
            number: number_key(partition),
            partition,
        }
    }

    pub(super) fn note_key(&self, name: &str) -> String {
        let partition = partition_of(&[name], self.settings.partitions);
        format!("okb:{{{partition}}}:note:{name}")
    }

    pub(super) fn trace_key(&self, account: &AccountName, trace_code: &TraceCode) -> String {
        let partition = self.partition(account, trace_code.as_str());
        format!("okb:{{{partition}}}:trace:{account}:{trace_code}")
    }
}

pub(super) struct Keys {
    pub(super) record: String,
    pub(super) due: String,
    pub(super) events: String,
    pub(super) listing: String,
    pub(super) number: String,
    pub(super) partition: u64,
}

fn partition_of(parts: &[&str], partitions: u64) -> u64 {
    let digest = Sha256::digest(parts.concat());
    let first = digest
        .iter()
        .take(8)
        .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    first % partitions
}

pub(super) fn due_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:due")
}

/// The due index of one account: a part of the due index of the partition.
pub(super) fn account_due_key(partition: u64, account: &AccountName) -> String {
    format!("okb:{{{partition}}}:due:{account}")
}

/// The due checks of one account that callbacks and callers asked for.
pub(super) fn account_asked_key(partition: u64, account: &AccountName) -> String {
    format!("okb:{{{partition}}}:asked:{account}")
}

pub(super) fn events_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:events")
}

pub(super) fn listing_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:listing")
}

pub(super) fn number_key(partition: u64) -> String {
    format!("okb:{{{partition}}}:number")
}

/// The member of a listing: its order as text is by state, then age. Times are from
/// 2001 to 2286, so they have 13 digits.
pub(super) fn listing_member(state: &str, listed: &Listed) -> String {
    format!("{state} {:013} {}", listed.created_ms, listed.name)
}

pub(super) fn read_listing_member(member: &str) -> Option<Listed> {
    let mut parts = member.splitn(3, ' ').skip(1);
    Some(Listed {
        created_ms: parts.next()?.parse().ok()?,
        name: parts.next()?.to_owned(),
    })
}
