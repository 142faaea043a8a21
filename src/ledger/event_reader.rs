//! The reader of all events: one per process, for everyone who watches everything.

use std::{collections::BTreeSet, time::Duration};

use super::records::Ledger;
use crate::store::{Events, StoreError};

/// The least time from one read to the next.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// The same after a read that brought so many events that more may wait.
const READ_INTERVAL_BEHIND: Duration = Duration::from_millis(10);
const EVENTS_BEHIND: usize = 256;
/// From a read that failed to the next one.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

impl Ledger {
    /// Reads every event once for all who watch everything, until the gateway stops.
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

    /// Reads until nobody watches, or the store's history is no longer the same.
    async fn read_while_watched(&self) -> Result<(), StoreError> {
        // Changes are noted from before this on, so none falls in between.
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
                // Each watcher finds out from its own cursor what that means for it, when
                // the reader begins again.
                self.feed.stop();
                return Ok(());
            };
            let is_behind = events.len() >= EVENTS_BEHIND;
            if is_behind {
                // The read was cut: any partition that was asked for may hold more.
                pending.extend(&requested);
            }
            for event in &events {
                cursor.advance(event);
                // A read is bounded: this partition may hold more.
                pending.insert(event.partition);
            }
            self.feed.publish(events);
            tokio::time::sleep(if is_behind {
                READ_INTERVAL_BEHIND
            } else {
                READ_INTERVAL
            })
            .await;
        }
    }
}
