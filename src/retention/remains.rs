//! The remains of ended transactions, and of what was never one: tombstones, events, and the items
//! of bounded lists.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::debug;

use super::{
    interruption::{FirstFault, Interruption},
    passes::Passes,
};
use crate::{
    failover::operator,
    notices::{orphans, texts},
    store::{BoundedList, Store, StoreError, first_day_kept},
};

/// The number of steps of the removal of tombstones in one pass.
const SWEEP_STEPS: usize = 256;
/// The shortest pause after such a step, which reads a few small keys.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);
/// The time between two removals of tombstones.
const SWEEP_INTERVAL: Duration = Duration::from_hours(24);
/// The number of steps of the removal of events from one partition in one pass.
const TRIM_STEPS: usize = 64;
/// The number of items that one pass removes from a list.
const ITEMS: usize = 64;

impl Passes {
    /// Removes some of what has ended. An error of the store in one part does not stop the others.
    pub(super) async fn remove_remains(&mut self) -> Result<(), Interruption> {
        let mut faults = FirstFault::default();
        if self.may_sweep {
            let swept = self.sweep_tombstones().await;
            faults.keep(swept)?;
        }
        for partition in 0..self.retention.store.partitions() {
            let trimmed = self.trim_events(partition).await;
            faults.keep(trimmed)?;
        }
        for list in BoundedList::ALL {
            let shortened = self.shorten(list).await;
            faults.keep(shortened)?;
        }
        faults.finish()
    }

    /// Removes ended tombstones from some parts of the store. The parts that remain are left to the
    /// next passes.
    async fn sweep_tombstones(&mut self) -> Result<(), Interruption> {
        if self.sweep_from.is_none()
            && self
                .swept_at
                .is_some_and(|at| at.elapsed() < SWEEP_INTERVAL)
        {
            return Ok(());
        }
        for _ in 0..SWEEP_STEPS {
            let began = Instant::now();
            let now = self.may_end(0).await?;
            let retention = Arc::clone(&self.retention);
            let first_kept = first_day_kept(now, retention.settings.until_tombstone_ends());
            let from = self.sweep_from.as_deref();
            let swept = retention.store.sweep_tombstones(first_kept, from).await?;
            retention
                .metrics
                .retention
                .tombstones_removed(swept.removed);
            self.sweep_from = swept.next;
            if self.sweep_from.is_none() {
                self.swept_at = Some(Instant::now());
                return Ok(());
            }
            self.pause_at_least(began, SWEEP_PAUSE).await;
        }
        Ok(())
    }

    /// Removes some of the events of a partition that have ended. Those that remain are left to the
    /// next passes.
    async fn trim_events(&mut self, partition: usize) -> Result<(), Interruption> {
        let retention = Arc::clone(&self.retention);
        for _ in 0..TRIM_STEPS {
            let began = Instant::now();
            let now = self.may_end(partition).await?;
            let trimmed = retention.store.trim_events(partition, now).await?;
            if trimmed == 0 {
                break;
            }
            retention.metrics.retention.events_trimmed(trimmed);
            self.pause_at_least(began, SWEEP_PAUSE).await;
        }
        Ok(())
    }

    /// Removes the items of a list that have ended.
    async fn shorten(&mut self, list: BoundedList) -> Result<(), Interruption> {
        for _ in 0..ITEMS {
            let now = self.may_end(0).await?;
            let retention = Arc::clone(&self.retention);
            let ended = now.checked_sub(retention.settings.lists_kept);
            let Some(item) = retention.store.oldest_item(list).await? else {
                return Ok(());
            };
            match time_of(&*retention.store, list, &item).await {
                Ok(at) if ended.is_ok_and(|ended| at < ended) => {}
                Ok(_) => return Ok(()),
                // A later release may have stored it. The list stays bounded by its length.
                Err(error) => {
                    debug!(?list, %error, "oldest item of a list unreadable");
                    return Ok(());
                }
            }
            if list == BoundedList::Notices {
                // Before the item: a text with mentions, and without an item, is never listed again.
                texts::delete_mentions(&*retention.store, &item, now).await?;
            }
            retention.store.remove_oldest(list, &item).await?;
        }
        Ok(())
    }
}

/// Returns the time from which the retention of an item counts.
async fn time_of(
    store: &dyn Store,
    list: BoundedList,
    item: &str,
) -> Result<Timestamp, StoreError> {
    match list {
        BoundedList::Orphans => orphans::parse(item).map(|orphan| orphan.at),
        BoundedList::Notices => {
            let notice = texts::counted(store, texts::parse(item)?).await?;
            Ok(notice.last)
        }
        BoundedList::GuardEndings => operator::parse_ending(item).map(|ending| ending.at),
    }
}
