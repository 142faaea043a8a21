//! The feed of all events: a bounded broadcast to everyone who watches everything.
//!
//! The position of a watcher is its own cursor (`watch_all.rs`): whatever it misses here it reads from
//! the store itself.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, broadcast};

use crate::store::{Cursor, Event, StoreError};

/// How many events are kept for watchers that are not up to date; a slower one reads
/// the store.
const FEED_CAPACITY: usize = 1024;

/// A message of the reader to every watcher.
#[derive(Debug)]
pub(super) enum FeedMessage {
    /// The next event.
    Event(FeedEvent),
    /// The reader starts here: earlier events are not passed on.
    Started(Cursor),
    /// The store could not be read.
    Failed(StoreError),
}

/// An event, read once for all.
#[derive(Debug)]
pub(super) struct FeedEvent {
    /// The event.
    pub(super) event: Event,
    /// Where the reader stands after it.
    pub(super) after: Cursor,
    encoded: OnceLock<String>,
}

impl FeedEvent {
    /// Returns the written form of `after`, made once for all.
    pub(super) fn encoded_cursor(&self) -> String {
        self.encoded.get_or_init(|| self.after.encode()).clone()
    }
}

/// The broadcast of the reader.
pub(super) struct Feed {
    messages: broadcast::Sender<Arc<FeedMessage>>,
    /// Where the reader stands; `None` while it does not read. Locked while a message is
    /// sent, so that a subscriber receives exactly what comes after it.
    position: Mutex<Option<Cursor>>,
    subscribed: Notify,
}

/// What a watcher receives.
pub(super) struct FeedSubscription {
    /// The messages from now on.
    pub(super) messages: broadcast::Receiver<Arc<FeedMessage>>,
    /// Where the reader stood; `None` when [`FeedMessage::Started`] follows.
    pub(super) position: Option<Cursor>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            messages: broadcast::Sender::new(FEED_CAPACITY),
            position: Mutex::default(),
            subscribed: Notify::new(),
        }
    }
}

impl Feed {
    /// Subscribes a watcher, and notifies the reader if it rests.
    pub(super) fn subscribe(&self) -> FeedSubscription {
        let position = self.position();
        let subscriber = FeedSubscription {
            messages: self.messages.subscribe(),
            position: position.clone(),
        };
        self.subscribed.notify_one();
        subscriber
    }

    fn position(&self) -> std::sync::MutexGuard<'_, Option<Cursor>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a watcher if there is none.
    pub(super) async fn wait_for_subscriber(&self) {
        while self.messages.receiver_count() == 0 {
            self.subscribed.notified().await;
        }
    }

    /// Stops if nobody watches any more.
    pub(super) fn stop_if_unwatched(&self) -> bool {
        let mut position = self.position();
        let is_unwatched = self.messages.receiver_count() == 0;
        if is_unwatched {
            *position = None;
        }
        is_unwatched
    }

    /// Stops: events are not passed on until the reader begins again.
    pub(super) fn stop(&self) {
        *self.position() = None;
    }

    pub(super) fn start(&self, head: Cursor) {
        let mut position = self.position();
        *position = Some(head.clone());
        // There may be nobody left to receive it.
        let _ = self.messages.send(Arc::new(FeedMessage::Started(head)));
    }

    pub(super) fn publish(&self, events: Vec<Event>) {
        for event in events {
            let mut position = self.position();
            let Some(after) = position.as_mut() else {
                return;
            };
            after.advance(&event);
            let next = FeedEvent {
                after: after.clone(),
                event,
                encoded: OnceLock::new(),
            };
            let _ = self.messages.send(Arc::new(FeedMessage::Event(next)));
        }
    }

    pub(super) fn fail(&self, error: StoreError) {
        let mut position = self.position();
        *position = None;
        let _ = self.messages.send(Arc::new(FeedMessage::Failed(error)));
    }
}
