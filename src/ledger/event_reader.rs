//! The reader of all events: one per process, for all subscribers of the feed.

use std::{collections::BTreeSet, time::Duration};

use super::records::Ledger;
use crate::store::{Events, StoreError};

/// The shortest time between two reads.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// The shortest time after a read of at least [`EVENTS_BEHIND`] events: more may be waiting.
const READ_INTERVAL_BEHIND: Duration = Duration::from_millis(10);
/// The number of events in one read from which on the reader counts as behind.
const EVENTS_BEHIND: usize = 256;
/// The time between a failed read and the next one.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

impl Ledger {
    /// Reads every event once, and publishes it to all subscribers of the feed, until the gateway
    /// stops.
    pub async fn read_events(&self) {
        let reading = async {
            loop {
                self.feed.wait_for_subscriber().await;
                self.hub.track_changes(true);
                if let Err(error) = self.read_while_watched().await {
                    self.feed.fail(error);
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                self.hub.track_changes(false);
            }
        };
        self.stopping.run_until_cancelled(reading).await;
    }

    /// Reads until the feed has no subscriber, or the replication epoch of the store changes.
    async fn read_while_watched(&self) -> Result<(), StoreError> {
        // The hub already tracks changes, so none is lost between this read and the next.
        let head = self.store.events_head().await?;
        let partitions = head.positions.len();
        let mut cursor = head.clone();
        self.feed.start(head);
        let mut poll = self.poll();
        let mut pending = BTreeSet::new();
        loop {
            if pending.is_empty() {
                tokio::select! {
                    () = self.hub.changed() => {}
                    () = poll.due() => pending.extend(0..partitions),
                }
            }
            if self.feed.stop_if_unwatched() {
                return Ok(());
            }
            pending.extend(self.hub.take_changes());
            let requested: Vec<usize> = std::mem::take(&mut pending).into_iter().collect();
            let Events::Next(events) = self.store.events_in(&cursor, &requested).await? else {
                // When the reader starts again, each watcher reads the store with its own cursor,
                // which the store accepts or refuses.
                self.feed.stop();
                return Ok(());
            };
            let is_behind = events.len() >= EVENTS_BEHIND;
            if is_behind {
                // The read was truncated: any requested partition may hold more.
                pending.extend(&requested);
            }
            for event in &events {
                cursor.advance(event);
                // A read is bounded: this partition may hold more.
                pending.insert(event.partition);
            }
            self.feed.publish(events);
            let interval = if is_behind {
                READ_INTERVAL_BEHIND
            } else {
                READ_INTERVAL
            };
            tokio::time::sleep(interval).await;
        }
    }
}
