//! The feed of all events: a bounded broadcast to every watcher of all transactions.
//!
//! Each watcher tracks its position in a cursor of its own (`watch_all.rs`), and reads events that
//! it misses here from the store.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, broadcast};

use crate::store::{Cursor, Event, StoreError};

/// The number of events that the feed buffers for slow watchers; a slower one reads the store.
const FEED_CAPACITY: usize = 1024;

/// A message from the reader to every watcher.
#[derive(Debug)]
pub(super) enum FeedMessage {
    /// The next event.
    Event(FeedEvent),
    /// The reader started at this cursor; it does not publish earlier events.
    Started(Cursor),
    /// The store could not be read.
    Failed(StoreError),
}

/// An event, read from the store once for all watchers.
#[derive(Debug)]
pub(super) struct FeedEvent {
    /// The event.
    pub(super) event: Event,
    /// The position of the reader after it.
    pub(super) after: Cursor,
    /// The encoded form of `after`, once it is computed.
    encoded: OnceLock<String>,
}

impl FeedEvent {
    /// Returns the encoded form of `after`, computed once for all watchers.
    pub(super) fn encoded_cursor(&self) -> String {
        self.encoded.get_or_init(|| self.after.encode()).clone()
    }
}

/// The broadcast of the reader.
pub(super) struct Feed {
    messages: broadcast::Sender<Arc<FeedMessage>>,
    /// The position of the reader; `None` while it does not read. Locked while a message is sent,
    /// so that a new subscriber receives exactly the messages after this position.
    position: Mutex<Option<Cursor>>,
    /// Notified by each new subscription.
    subscribed: Notify,
}

/// The subscription of one watcher.
pub(super) struct FeedSubscription {
    /// The messages since the subscription.
    pub(super) messages: broadcast::Receiver<Arc<FeedMessage>>,
    /// The position of the reader at the subscription; `None` when [`FeedMessage::Started`]
    /// follows.
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
    /// Subscribes a watcher, and notifies the reader, which may be waiting for one.
    pub(super) fn subscribe(&self) -> FeedSubscription {
        let position = self.position();
        let subscriber = FeedSubscription {
            messages: self.messages.subscribe(),
            position: position.clone(),
        };
        self.subscribed.notify_one();
        subscriber
    }

    /// Locks the position of the reader.
    fn position(&self) -> std::sync::MutexGuard<'_, Option<Cursor>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a subscriber.
    pub(super) async fn wait_for_subscriber(&self) {
        while self.messages.receiver_count() == 0 {
            self.subscribed.notified().await;
        }
    }

    /// Stops the feed if it has no subscriber; returns true when it stopped.
    pub(super) fn stop_if_unwatched(&self) -> bool {
        let mut position = self.position();
        let is_unwatched = self.messages.receiver_count() == 0;
        if is_unwatched {
            *position = None;
        }
        is_unwatched
    }

    /// Stops the feed: it publishes nothing until the reader starts again.
    pub(super) fn stop(&self) {
        *self.position() = None;
    }

    /// Starts the feed at the position of the reader.
    pub(super) fn start(&self, head: Cursor) {
        let mut position = self.position();
        *position = Some(head.clone());
        // An error only means that no subscriber is left.
        let _ = self.messages.send(Arc::new(FeedMessage::Started(head)));
    }

    /// Publishes events that follow the position of the reader.
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

    /// Stops the feed, and reports the error to every watcher.
    pub(super) fn fail(&self, error: StoreError) {
        let mut position = self.position();
        *position = None;
        let _ = self.messages.send(Arc::new(FeedMessage::Failed(error)));
    }
}
