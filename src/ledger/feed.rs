//! The reader of all events: one per process, for all who watch everything.
//!
//! The reader follows the store and passes each event on by a bounded broadcast. The
//! truth of a watcher is its own cursor ([`super::watch_all`]): whatever it misses here
//! it reads from the store itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, broadcast};

use super::records::Ledger;
use crate::store::{Cursor, Event, Events, StoreError};

/// How many events are kept for watchers that are not up to date; a slower one reads
/// the store.
const READ_AHEAD_EVENTS_MAX: usize = 1024;
/// The least time from one read to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The same after a read that brought so many events that more may wait.
const PAUSE_BEHIND: Duration = Duration::from_millis(10);
const EVENTS_BEHIND: usize = 256;
/// From a read that failed to the next one.
const PAUSE_FAILED: Duration = Duration::from_millis(500);

/// A message of the reader to every watcher.
#[derive(Debug)]
pub(super) enum Told {
    /// The next event.
    Event(Passed),
    /// The reader starts here: earlier events are not passed on.
    Began(Cursor),
    /// The store could not be read.
    Failed(StoreError),
}

/// An event, read once for all.
#[derive(Debug)]
pub(super) struct Passed {
    /// The event.
    pub(super) event: Event,
    /// Where the reader stands after it.
    pub(super) after: Cursor,
    text: OnceLock<String>,
}

impl Passed {
    /// Returns the written form of `after`, made once for all.
    pub(super) fn cursor(&self) -> String {
        self.text.get_or_init(|| self.after.encode()).clone()
    }
}

/// The broadcast of the reader.
pub(super) struct Feed {
    told: broadcast::Sender<Arc<Told>>,
    /// Where the reader stands; `None` while it does not read. Locked while a message is
    /// sent, so that a subscriber receives exactly what comes after it.
    at: Mutex<Option<Cursor>>,
    wanted: Notify,
}

/// What a watcher receives.
pub(super) struct Subscriber {
    /// The messages from now on.
    pub(super) told: broadcast::Receiver<Arc<Told>>,
    /// Where the reader stood; `None` when [`Told::Began`] follows.
    pub(super) at: Option<Cursor>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            told: broadcast::Sender::new(READ_AHEAD_EVENTS_MAX),
            at: Mutex::default(),
            wanted: Notify::new(),
        }
    }
}

impl Feed {
    /// Subscribes a watcher, and notifies the reader if it rests.
    pub(super) fn subscribe(&self) -> Subscriber {
        let at = self.at();
        let subscriber = Subscriber {
            told: self.told.subscribe(),
            at: at.clone(),
        };
        self.wanted.notify_one();
        subscriber
    }

    fn at(&self) -> std::sync::MutexGuard<'_, Option<Cursor>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a watcher if there is none.
    async fn watched(&self) {
        while self.told.receiver_count() == 0 {
            self.wanted.notified().await;
        }
    }

    /// Stops if nobody watches any more.
    fn rest_if_unwatched(&self) -> bool {
        let mut at = self.at();
        let is_unwatched = self.told.receiver_count() == 0;
        if is_unwatched {
            *at = None;
        }
        is_unwatched
    }

    /// Stops: events are not passed on until the reader begins again.
    fn rest(&self) {
        *self.at() = None;
    }

    fn begin(&self, head: Cursor) {
        let mut at = self.at();
        *at = Some(head.clone());
        // There may be nobody left to receive it.
        let _ = self.told.send(Arc::new(Told::Began(head)));
    }

    fn pass(&self, events: Vec<Event>) {
        for event in events {
            let mut at = self.at();
            let Some(after) = at.as_mut() else { return };
            after.advance(&event);
            let passed = Passed {
                after: after.clone(),
                event,
                text: OnceLock::new(),
            };
            let _ = self.told.send(Arc::new(Told::Event(passed)));
        }
    }

    fn fail(&self, error: StoreError) {
        let mut at = self.at();
        *at = None;
        let _ = self.told.send(Arc::new(Told::Failed(error)));
    }
}

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
