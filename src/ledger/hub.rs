//! Notifications of committed changes to subscribers in this process.
//!
//! The hub notifies, and passes on the newest version; it never queues. A subscriber that fell
//! behind, or whose transaction was changed by another process, reads the missing revisions from
//! the store. So memory is bounded by the number of subscribers.
//!
//! A notification may be lost. So every subscriber also polls the store ([`Poll`]): often while the
//! connection for notifications is down, rarely while it is up.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::commits_in_flight::CommitsInFlight;
use crate::{
    ambient::phase_of,
    store::{LISTEN_AGAIN_AFTER, Notification, Store},
    transaction::{Transaction, TransactionKey},
};

/// The newest known version of a transaction.
#[derive(Clone, Default)]
struct Latest {
    version: u64,
    /// The version itself, when this process committed it.
    transaction: Option<Arc<Transaction>>,
}

/// The newest known version of each transaction that has subscribers.
type Topics = Arc<Mutex<HashMap<TransactionKey, watch::Sender<Latest>>>>;

/// The partitions that changed since the reader of all events last took them.
#[derive(Default)]
struct ChangedPartitions {
    /// False while the reader does not read: then no change is tracked.
    is_tracked: AtomicBool,
    partitions: Mutex<BTreeSet<usize>>,
    changed: Notify,
}

/// The notifications of committed changes.
#[derive(Clone)]
pub struct Hub {
    store: Arc<dyn Store>,
    topics: Topics,
    commits: CommitsInFlight,
    changes: Arc<ChangedPartitions>,
    /// True while notifications from other processes arrive.
    listening: watch::Sender<bool>,
    /// The number of polls started so far, which spreads them over time.
    polls: Arc<AtomicU32>,
}

impl Hub {
    /// Builds the hub of a store's changes.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            topics: Topics::default(),
            commits: CommitsInFlight::default(),
            changes: Arc::default(),
            listening: watch::Sender::new(false),
            polls: Arc::default(),
        }
    }

    /// Notifies subscribers of a version that this process committed.
    pub fn publish(&self, transaction: &Arc<Transaction>) {
        let latest = Latest {
            version: transaction.version(),
            transaction: Some(Arc::clone(transaction)),
        };
        self.notify(&transaction.key(), latest);
    }

    /// Registers a commit of this process, until the returned value is dropped: after
    /// [`Self::publish`], if the version is stored.
    #[must_use]
    pub fn committing(&self, transaction: &Transaction) -> CommitInFlight {
        let version = (transaction.key(), transaction.version());
        self.commits.begin(&version);
        CommitInFlight {
            hub: self.clone(),
            version,
        }
    }

    /// Notifies subscribers of a version that a process committed: this one too, while its own
    /// commit is in flight. The notification then waits for the end of that commit.
    pub fn publish_remote(&self, key: &TransactionKey, version: u64) {
        let version = (key.clone(), version);
        if !self.commits.defer(&version) {
            self.notify_remote(&version);
        }
    }

    fn notify_remote(&self, (key, version): &(TransactionKey, u64)) {
        let latest = Latest {
            version: *version,
            transaction: None,
        };
        self.notify(key, latest);
    }

    /// Makes every subscriber poll the store soon: it may have changed without a notification.
    pub fn read_again(&self) {
        self.listening.send_modify(|_| ());
    }

    /// Starts or stops tracking which partitions change.
    pub(crate) fn track_changes(&self, is_tracked: bool) {
        self.changes.is_tracked.store(is_tracked, Ordering::SeqCst);
    }

    /// Waits until a partition has changed.
    pub(crate) async fn changed(&self) {
        self.changes.changed.notified().await;
    }

    /// Returns the partitions that changed since the last call.
    pub(crate) fn take_changes(&self) -> BTreeSet<usize> {
        let mut partitions = self.changes.partitions();
        std::mem::take(&mut *partitions)
    }

    /// Starts the poll timer of one subscriber.
    #[must_use]
    pub fn poll(&self, pace: Pace) -> Poll {
        let number = self.polls.fetch_add(1, Ordering::Relaxed);
        let phase = phase_of(number);
        let listening = self.listening.subscribe();
        let first = if *listening.borrow() {
            pace.connected
        } else {
            pace.disconnected
        };
        Poll {
            listening,
            pace,
            catch_up_after: pace.disconnected.mul_f64(0.5 + phase / 2.0),
            next: Instant::now() + first,
        }
    }

    /// Tracks a change for the reader of all events, and notifies the subscribers of a transaction
    /// unless they know a version as new.
    fn notify(&self, key: &TransactionKey, latest: Latest) {
        if self.changes.is_tracked.load(Ordering::SeqCst) {
            let partition = self.store.partition_of(key);
            self.changes.partitions().insert(partition);
            self.changes.changed.notify_one();
        }
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(key) {
            topic.send_if_modified(|known| {
                let is_newer = known.version < latest.version;
                if is_newer {
                    *known = latest;
                }
                is_newer
            });
        }
    }

    /// Subscribes to the changes of a transaction from now on.
    #[must_use]
    pub fn subscribe(&self, key: &TransactionKey) -> Subscription {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = topics
            .entry(key.clone())
            .or_insert_with(|| watch::Sender::new(Latest::default()));
        let receiver = Some(topic.subscribe());
        Subscription {
            key: key.clone(),
            receiver,
            topics: Arc::clone(&self.topics),
        }
    }
}

/// A commit of this process that is in flight.
pub struct CommitInFlight {
    hub: Hub,
    version: (TransactionKey, u64),
}

impl Drop for CommitInFlight {
    fn drop(&mut self) {
        if self.hub.commits.end(&self.version) {
            // Subscribers already know the version if this process published it.
            self.hub.notify_remote(&self.version);
        }
    }
}

impl ChangedPartitions {
    /// Locks the changed partitions.
    fn partitions(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        let partitions = self.partitions.lock();
        partitions.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The poll intervals of a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The interval while the connection for notifications is down.
    pub disconnected: Duration,
    /// The interval while it is up.
    pub connected: Duration,
}

/// The poll timer of one subscriber.
pub struct Poll {
    listening: watch::Receiver<bool>,
    pace: Pace,
    /// The longest time from a change of the connection to the next poll. It differs between
    /// subscribers, so that they do not all poll at once.
    catch_up_after: Duration,
    next: Instant,
}

impl Poll {
    /// Waits until the next poll is due. Cancellation-safe.
    ///
    /// A loss or return of the connection brings the next poll forward, which finds the changes
    /// missed meanwhile.
    pub async fn due(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.next) => return self.schedule_next(Instant::now()),
                // The sender lives as long as the gateway.
                Ok(()) = self.listening.changed() => self.bring_forward(Instant::now()),
            }
        }
    }

    /// Schedules the next poll by the present state of the connection.
    fn schedule_next(&mut self, now: Instant) {
        let is_listening = *self.listening.borrow();
        self.next = now
            + if is_listening {
                self.pace.connected
            } else {
                self.pace.disconnected
            };
    }

    /// Brings the next poll forward, to find changes that were missed.
    fn bring_forward(&mut self, now: Instant) {
        self.next = self.next.min(now + self.catch_up_after);
    }
}

/// Relays notifications of commits by other processes to subscribers, until `stopping`. Reconnects
/// after a pause; subscribers find the changes missed meanwhile by polling.
pub async fn relay(store: Arc<dyn Store>, hub: Hub, stopping: CancellationToken) {
    let on_heard = |heard: Notification| match heard {
        Notification::Listening => {
            hub.listening.send_replace(true);
        }
        Notification::Change(key, version) => hub.publish_remote(&key, version),
    };
    let mut was_connected = true;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            result = store.listen(&on_heard) => {
                hub.listening.send_replace(false);
                // Logged once per loss of the connection, not at every try.
                if let (Err(error), true) = (&result, was_connected) {
                    warn!(%error, "notifications from other gateways do not arrive; reconnecting, and polling the store meanwhile");
                }
                was_connected = result.is_ok();
            }
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LISTEN_AGAIN_AFTER) => {}
        }
    }
}

/// A subscription to one transaction.
pub struct Subscription {
    key: TransactionKey,
    /// `None` only during `drop`.
    receiver: Option<watch::Receiver<Latest>>,
    topics: Topics,
}

impl Subscription {
    /// Waits for a newer version. Returns the version when this process committed it, and `None`
    /// when the caller must read it from the store. Cancellation-safe.
    pub async fn changed(&mut self) -> Option<Arc<Transaction>> {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return receiver.borrow_and_update().transaction.clone();
        }
        // Unreachable: the sender lives as long as there are subscriptions.
        std::future::pending().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        self.receiver = None;
        if topics
            .get(&self.key)
            .is_some_and(|topic| topic.receiver_count() == 0)
        {
            topics.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_is_frequent_only_while_connection_is_down() {
        let seconds = Duration::from_secs;
        let began = Instant::now();
        let listening = watch::Sender::new(false);
        let mut poll = Poll {
            listening: listening.subscribe(),
            pace: Pace {
                disconnected: seconds(5),
                connected: seconds(3600),
            },
            catch_up_after: seconds(4),
            next: began,
        };
        poll.schedule_next(began);
        assert_eq!(poll.next, began + seconds(5), "down: often");
        listening.send_replace(true);
        poll.bring_forward(began + seconds(2));
        assert_eq!(poll.next, began + seconds(5), "not later than planned");
        poll.schedule_next(began + seconds(5));
        assert_eq!(poll.next, began + seconds(3605), "up: only the safety poll");
        // The connection breaks and returns: one poll finds the missed changes.
        poll.bring_forward(began + seconds(100));
        assert_eq!(poll.next, began + seconds(104));
        poll.schedule_next(began + seconds(104));
        assert_eq!(poll.next, began + seconds(3704));
    }
}
