//! The listing: one sorted set per partition, ordered by the text of its members.

use super::{keys::listing_key, store::RedisStore};
use crate::store::{Listing, ListingEntry, StoreError};

impl RedisStore {
    /// Reads the newest entries of one state.
    pub(super) async fn read_listing(
        &self,
        listing: &Listing,
    ) -> Result<Vec<ListingEntry>, StoreError> {
        let from = ListingEntry {
            created_ms: listing.from.as_millisecond().max(0),
            name: String::new(),
        };
        let mut pipeline = redis::pipe();
        for partition in 0..self.settings.partitions {
            pipeline
                .cmd("ZREVRANGEBYLEX")
                .arg(listing_key(partition))
                .arg(format!(
                    "({}",
                    listing_member(listing.state, &listing.after)
                ))
                .arg(format!("[{}", listing_member(listing.state, &from)))
                .arg("LIMIT")
                .arg(0)
                .arg(listing.limit);
        }
        let found: Vec<Vec<String>> = self.query_all(&pipeline).await?;
        let mut found: Vec<ListingEntry> = found
            .iter()
            .flatten()
            .filter_map(|member| read_listing_member(member))
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.truncate(listing.limit);
        Ok(found)
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

/// Formats a member of the listing. Members sort as text by state, then by time: times from 2001
/// to 2286 have 13 digits.
pub(super) fn listing_member(state: &str, entry: &ListingEntry) -> String {
    format!("{state} {:013} {}", entry.created_ms, entry.name)
}

/// Parses a member of the listing; returns `None` when it is malformed.
fn read_listing_member(member: &str) -> Option<ListingEntry> {
    let mut parts = member.splitn(3, ' ').skip(1);
    Some(ListingEntry {
        created_ms: parts.next()?.parse().ok()?,
        name: parts.next()?.to_owned(),
    })
}
