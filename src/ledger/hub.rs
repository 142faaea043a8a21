//! From committed changes to whoever waits for them, in this process and others.
//!
//! The hub only wakes and shows the newest version; it never queues. A waiter that
//! fell behind, or that watches a change made elsewhere, reads the missing
//! revisions from the store. So memory is bounded by the number of waiters.
//!
//! A wake-up may be lost. So every waiter also reads the store of its own accord
//! ([`Poll`]): often while the wake-up connection is down, seldom while it is up.

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

use crate::{
    store::{Heard, Store},
    transaction::{Transaction, TransactionKey},
};

/// The pause before a broken connection is made again. What looks like a new store is one only
/// when nobody listens for longer than that (`store/guard.rs`).
pub(crate) const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is known of the newest version of a transaction.
#[derive(Clone, Default)]
struct Latest {
    version: u64,
    /// The version itself, when this process committed it.
    transaction: Option<Arc<Transaction>>,
}

type Topics = Arc<Mutex<HashMap<TransactionKey, watch::Sender<Latest>>>>;

/// The partitions that changed since they were last taken, for the reader of all events.
#[derive(Default)]
struct ChangedPartitions {
    /// Nothing is noted while nobody reads.
    is_tracked: AtomicBool,
    partitions: Mutex<BTreeSet<usize>>,
    changed: Notify,
}

/// Notifies waiters of committed changes.
#[derive(Clone)]
pub struct Hub {
    store: Arc<dyn Store>,
    topics: Topics,
    changes: Arc<ChangedPartitions>,
    /// True while wake-ups of other processes arrive.
    listening: watch::Sender<bool>,
    /// Counts the waiters that polled, to spread them.
    polls: Arc<AtomicU32>,
}

impl Hub {
    /// Builds the hub of a store's changes.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            topics: Topics::default(),
            changes: Arc::default(),
            listening: watch::Sender::new(false),
            polls: Arc::default(),
        }
    }

    /// Shows a version that this process committed.
    pub fn publish(&self, transaction: &Arc<Transaction>) {
        let latest = Latest {
            version: transaction.version(),
            transaction: Some(Arc::clone(transaction)),
        };
        self.notify(&transaction.key(), latest);
    }

    /// Wakes those who wait for a transaction that another process changed.
    pub fn publish_remote(&self, key: &TransactionKey, version: u64) {
        self.notify(
            key,
            Latest {
                version,
                transaction: None,
            },
        );
    }

    /// Has every waiter read the store soon: what it holds may have changed without a
    /// wake-up.
    pub fn read_again(&self) {
        self.listening.send_modify(|_| ());
    }

    /// Begins or stops to note which partitions change.
    pub(crate) fn track_changes(&self, is_tracked: bool) {
        self.changes.is_tracked.store(is_tracked, Ordering::SeqCst);
    }

    /// Waits until some partition has changed.
    pub(crate) async fn changed(&self) {
        self.changes.changed.notified().await;
    }

    /// Takes the partitions that changed since the last call.
    pub(crate) fn take_changes(&self) -> BTreeSet<usize> {
        let mut partitions = self.changes.partitions();
        std::mem::take(&mut *partitions)
    }

    /// Starts the clock of one waiter that also reads the store of its own accord.
    #[must_use]
    pub fn poll(&self, pace: Pace) -> Poll {
        let number = self.polls.fetch_add(1, Ordering::Relaxed);
        // Multiples of the golden ratio spread evenly, however many there are.
        let phase = f64::from(number.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX);
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

    /// Waits for changes of a transaction from now on.
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

impl ChangedPartitions {
    fn partitions(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        let partitions = self.partitions.lock();
        partitions.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a waiter reads the store of its own accord.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// While the wake-up connection is down.
    pub disconnected: Duration,
    /// While it is up.
    pub connected: Duration,
}

/// The clock of one waiter that reads the store of its own accord.
pub struct Poll {
    listening: watch::Receiver<bool>,
    pace: Pace,
    /// From a change of the connection to the next read; differs between waiters, so
    /// that they do not all read at once.
    catch_up_after: Duration,
    next: Instant,
}

impl Poll {
    /// Waits until the store is to be read. Cancelling loses nothing.
    ///
    /// A connection that breaks, and one that is made again, bring the next read
    /// forward: what was missed meanwhile is found by that read.
    pub async fn due(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.next) => return self.schedule_next(Instant::now()),
                // The sender lives as long as the gateway.
                Ok(()) = self.listening.changed() => self.bring_forward(Instant::now()),
            }
        }
    }

    fn schedule_next(&mut self, now: Instant) {
        let is_listening = *self.listening.borrow();
        self.next = now
            + if is_listening {
                self.pace.connected
            } else {
                self.pace.disconnected
            };
    }

    fn bring_forward(&mut self, now: Instant) {
        self.next = self.next.min(now + self.catch_up_after);
    }
}

/// Wakes waiters for what other processes commit, until `stopping`. A connection
/// that breaks is made again; what was missed meanwhile, waiters find when they
/// look at the store of their own accord.
pub async fn relay(store: Arc<dyn Store>, hub: Hub, stopping: CancellationToken) {
    let on_heard = |heard: Heard| match heard {
        Heard::Listening => {
            hub.listening.send_replace(true);
        }
        Heard::Change(key, version) => hub.publish_remote(&key, version),
    };
    let mut was_connected = true;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            result = store.listen(&on_heard) => {
                hub.listening.send_replace(false);
                // A failure is told once, not at every try.
                if let (Err(error), true) = (&result, was_connected) {
                    warn!(%error, "changes made by other processes are not heard of");
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

/// One waiter's view of one transaction.
pub struct Subscription {
    key: TransactionKey,
    /// Taken out only by `drop`.
    receiver: Option<watch::Receiver<Latest>>,
    topics: Topics,
}

impl Subscription {
    /// Waits for a newer version: the version itself when this process committed
    /// it, `None` when it is to be read from the store. Cancelling loses nothing.
    pub async fn changed(&mut self) -> Option<Arc<Transaction>> {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return receiver.borrow_and_update().transaction.clone();
        }
        // The sender lives as long as there are subscriptions.
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
    fn polling_is_frequent_only_while_the_connection_is_down() {
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
        // It breaks and is made again: one read finds what was missed.
        poll.bring_forward(began + seconds(100));
        assert_eq!(poll.next, began + seconds(104));
        poll.schedule_next(began + seconds(104));
        assert_eq!(poll.next, began + seconds(3704));
    }
}
