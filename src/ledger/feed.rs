//! The feed of all events: a bounded broadcast to everyone who watches everything.
//!
//! The position of a watcher is its own cursor (`watch_all.rs`): whatever it misses here it reads from
//! the store itself.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, broadcast};

use crate::store::{Cursor, Event, StoreError};

/// How many events are kept for watchers that are not up to date; a slower one reads
/// the store.
const READ_AHEAD_EVENTS_MAX: usize = 1024;

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
    pub(super) async fn watched(&self) {
        while self.told.receiver_count() == 0 {
            self.wanted.notified().await;
        }
    }

    /// Stops if nobody watches any more.
    pub(super) fn rest_if_unwatched(&self) -> bool {
        let mut at = self.at();
        let is_unwatched = self.told.receiver_count() == 0;
        if is_unwatched {
            *at = None;
        }
        is_unwatched
    }

    /// Stops: events are not passed on until the reader begins again.
    pub(super) fn rest(&self) {
        *self.at() = None;
    }

    pub(super) fn begin(&self, head: Cursor) {
        let mut at = self.at();
        *at = Some(head.clone());
        // There may be nobody left to receive it.
        let _ = self.told.send(Arc::new(Told::Began(head)));
    }

    pub(super) fn pass(&self, events: Vec<Event>) {
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

    pub(super) fn fail(&self, error: StoreError) {
        let mut at = self.at();
        *at = None;
        let _ = self.told.send(Arc::new(Told::Failed(error)));
    }
}
