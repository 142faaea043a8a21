//! The listing: one sorted set per partition, ordered by the text of its members.

use super::{keys::listing_key, store::RedisStore};
use crate::store::{Listing, ListingEntry, OldestListing, StoreError};

/// The number of even shares of a page that are read from each partition first: transactions are
/// spread by a hash, about evenly.
const SHARES_OF_PARTITION: usize = 2;

/// The entries of one partition that were read so far, newest first.
#[derive(Default)]
struct PartitionEntries {
    found: Vec<ListingEntry>,
    /// The partition has no further entries.
    is_end: bool,
}

impl PartitionEntries {
    /// Returns true when an entry that was not read yet may be newer than `last`, the last entry of
    /// the page so far; any entry may be missing while the page is not full.
    fn may_add(&self, last: Option<&ListingEntry>) -> bool {
        let is_newer = |oldest: &ListingEntry| last.is_none_or(|last| oldest > last);
        !self.is_end && self.found.last().is_none_or(is_newer)
    }
}

impl RedisStore {
    /// Reads the newest entries of one state: a share of the page from each partition, and more
    /// only from those that may hold more of the page.
    pub(super) async fn read_listing(
        &self,
        listing: &Listing,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let count = self.partition_count();
        let mut partitions: Vec<PartitionEntries> = Vec::new();
        partitions.resize_with(count, PartitionEntries::default);
        let mut share = listing.limit.div_ceil(count) * SHARES_OF_PARTITION;
        loop {
            let page = newest(&partitions, listing.limit);
            let last = page.get(listing.limit.saturating_sub(1));
            let pending: Vec<usize> = (0..count)
                .filter(|index| partitions[*index].may_add(last))
                .collect();
            if pending.is_empty() {
                return Ok(page);
            }
            share = share.min(listing.limit);
            self.read_on(listing, &mut partitions, &pending, share)
                .await?;
            share *= 2;
        }
    }

    /// Reads the next `share` entries of some partitions.
    async fn read_on(
        &self,
        listing: &Listing,
        partitions: &mut [PartitionEntries],
        pending: &[usize],
        share: usize,
    ) -> Result<(), StoreError> {
        let from = ListingEntry {
            created_ms: listing.from.as_millisecond().max(0),
            name: String::new(),
        };
        let from = format!("[{}", listing_member(listing.state, &from));
        let mut pipeline = redis::pipe();
        for index in pending {
            let after = partitions[*index].found.last().unwrap_or(&listing.after);
            pipeline
                .cmd("ZREVRANGEBYLEX")
                .arg(listing_key(*index as u64))
                .arg(format!("({}", listing_member(listing.state, after)))
                .arg(&from)
                .arg("LIMIT")
                .arg(0)
                .arg(share);
        }
        let found: Vec<Vec<String>> = self.query_all(&pipeline).await?;
        for (index, members) in pending.iter().zip(found) {
            let partition = &mut partitions[*index];
            partition.is_end = members.len() < share;
            let read = members
                .iter()
                .filter_map(|member| read_listing_member(member));
            let before = partition.found.len();
            partition.found.extend(read);
            // Malformed members are skipped; without any other there is no place to read on from.
            partition.is_end |= partition.found.len() == before;
        }
        Ok(())
    }

    /// Reads the oldest entries of one state in one partition.
    pub(super) async fn read_oldest(
        &self,
        listing: &OldestListing,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let bound = |created_ms: i64, name: &str| {
            let entry = ListingEntry {
                created_ms: created_ms.clamp(0, ListingEntry::MS_MAX),
                name: name.to_owned(),
            };
            listing_member(listing.state, &entry)
        };
        let from = match &listing.after {
            Some(after) => format!("({}", bound(after.created_ms, &after.name)),
            None => format!("[{}", bound(0, "")),
        };
        let mut read = redis::cmd("ZRANGEBYLEX");
        read.arg(listing_key(listing.partition as u64))
            .arg(from)
            .arg(format!("({}", bound(listing.to.as_millisecond(), "")))
            .arg("LIMIT")
            .arg(0)
            .arg(listing.limit);
        let found: Vec<String> = self.query(&read).await?;
        let entries = found
            .iter()
            .filter_map(|member| read_listing_member(member));
        Ok(entries.collect())
    }

    /// Counts the entries of one state that were accepted in a time range.
    pub(super) async fn count_listing(
        &self,
        state: &'static str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<u64, StoreError> {
        let bound = |created_ms: i64| {
            let entry = ListingEntry {
                created_ms: created_ms.clamp(0, ListingEntry::MS_MAX),
                name: String::new(),
            };
            listing_member(state, &entry)
        };
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline
                .cmd("ZLEXCOUNT")
                .arg(listing_key(partition))
                .arg(format!("[{}", bound(from_ms)))
                .arg(format!("({}", bound(to_ms)));
        }
        let counts: Vec<u64> = self.query_all(&pipeline).await?;
        Ok(counts.into_iter().sum())
    }
}

/// Merges what was read of all partitions to the newest entries.
fn newest(partitions: &[PartitionEntries], limit: usize) -> Vec<ListingEntry> {
    let found = partitions.iter().flat_map(|partition| &partition.found);
    let mut found: Vec<ListingEntry> = found.cloned().collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(limit);
    found
}

/// Formats a member of the listing. Members sort as text by state, then by time: times from 2001
/// to 2286 have 13 digits.
pub(super) fn listing_member(state: &str, entry: &ListingEntry) -> String {
    format!("{state}{}", listing_rest(entry))
}

/// Formats a member of the listing without its state: the part that stays when the state changes.
pub(super) fn listing_rest(entry: &ListingEntry) -> String {
    format!(" {:013} {}", entry.created_ms, entry.name)
}

/// Parses a member of the listing; returns `None` when it is malformed.
pub(super) fn read_listing_member(member: &str) -> Option<ListingEntry> {
    let mut parts = member.splitn(3, ' ').skip(1);
    Some(ListingEntry {
        created_ms: parts.next()?.parse().ok()?,
        name: parts.next()?.to_owned(),
    })
}
