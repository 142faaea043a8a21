//! The reader of all events: one per process, for everyone who watches everything.

use std::{collections::BTreeSet, time::Duration};

use super::records::Ledger;
use crate::store::{Events, StoreError};

/// The least time from one read to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The same after a read that brought so many events that more may wait.
const PAUSE_BEHIND: Duration = Duration::from_millis(10);
const EVENTS_BEHIND: usize = 256;
/// From a read that failed to the next one.
const PAUSE_FAILED: Duration = Duration::from_millis(500);

impl Ledger {
    /// Reads every event once for all who watch everything, until the gateway stops.
    pub async fn read_events(&self) {
        let reading = async {
            loop {
                self.feed.watched().await;
                self.hub.want_changes(true);
                if let Err(error) = self.read_while_watched().await {
                    self.feed.fail(error);
                    tokio::time::sleep(PAUSE_FAILED).await;
                }
                self.hub.want_changes(false);
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
        self.feed.begin(head);
        let mut poll = self.poll();
        let mut wanted = BTreeSet::new();
        loop {
            if wanted.is_empty() {
                tokio::select! {
                    () = self.hub.changed() => {}
                    () = poll.due() => wanted.extend(0..partitions),
                }
            }
            if self.feed.rest_if_unwatched() {
                return Ok(());
            }
            wanted.extend(self.hub.take_changes());
            let asked: Vec<usize> = std::mem::take(&mut wanted).into_iter().collect();
            let Events::Next(events) = self.store.events_in(&cursor, &asked).await? else {
                // Each watcher finds out from its own cursor what that means for it, when
                // the reader begins again.
                self.feed.rest();
                return Ok(());
            };
            let is_behind = events.len() >= EVENTS_BEHIND;
            if is_behind {
                // The read was cut: any partition that was asked for may hold more.
                wanted.extend(&asked);
            }
            for event in &events {
                cursor.advance(event);
                // A read is bounded: this partition may hold more.
                wanted.insert(event.partition);
            }
            self.feed.pass(events);
            tokio::time::sleep(if is_behind { PAUSE_BEHIND } else { PAUSE }).await;
        }
    }
}
