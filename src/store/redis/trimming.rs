//! The trimming of events in partitions that receive no commits.

use jiff::Timestamp;

use super::{
    keys::{erased_key, events_key},
    store::RedisStore,
};
use crate::store::StoreError;

/// The most events that one call removes in whole nodes of a stream.
const TRIMMED_AT_ONCE: u32 = 1000;

impl RedisStore {
    /// Removes some old events of a partition.
    pub(super) async fn trim_stream(
        &self,
        partition: u64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let before = now.checked_sub(self.settings.event_retention);
        let before = before.map_or(0, |before| before.as_millisecond().max(0));
        let mut call = self.scripts.trim_events.key(events_key(partition));
        call.key(erased_key(partition))
            .arg(before)
            .arg(TRIMMED_AT_ONCE);
        self.invoke(&call).await
    }
}
