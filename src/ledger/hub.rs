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
    store::{LISTEN_AGAIN_AFTER, Notification, Store},
    transaction::{Transaction, TransactionKey},
};

/// What is known of the newest version of a transaction.
#[derive(Clone, Default)]
struct News {
    version: u64,
    /// The version itself, when this process committed it.
    transaction: Option<Arc<Transaction>>,
}

type Topics = Arc<Mutex<HashMap<TransactionKey, watch::Sender<News>>>>;

/// The partitions that changed since they were last taken, for the reader of all events.
#[derive(Default)]
struct Changes {
    /// Nothing is noted while nobody reads.
    is_wanted: AtomicBool,
    partitions: Mutex<BTreeSet<usize>>,
    noted: Notify,
}

/// Notifies waiters of committed changes.
#[derive(Clone)]
pub struct Hub {
    store: Arc<dyn Store>,
    topics: Topics,
    changes: Arc<Changes>,
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
        let news = News {
            version: transaction.version(),
            transaction: Some(Arc::clone(transaction)),
        };
        self.tell(&transaction.key(), news);
    }

    /// Wakes those who wait for a transaction that another process changed.
    pub fn wake(&self, key: &TransactionKey, version: u64) {
        self.tell(
            key,
            News {
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
    pub(crate) fn want_changes(&self, is_wanted: bool) {
        self.changes.is_wanted.store(is_wanted, Ordering::SeqCst);
    }

    /// Waits until some partition has changed.
    pub(crate) async fn changed(&self) {
        self.changes.noted.notified().await;
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
            pace.listening
        } else {
            pace.deaf
        };
        Poll {
            listening,
            pace,
            catch_up_after: pace.deaf.mul_f64(0.5 + phase / 2.0),
            next: Instant::now() + first,
        }
    }

    fn tell(&self, key: &TransactionKey, news: News) {
        if self.changes.is_wanted.load(Ordering::SeqCst) {
            let partition = self.store.partition_of(key);
            self.changes.partitions().insert(partition);
            self.changes.noted.notify_one();
        }
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(key) {
            topic.send_if_modified(|known| {
                let is_newer = known.version < news.version;
                if is_newer {
                    *known = news;
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
            .or_insert_with(|| watch::Sender::new(News::default()));
        let receiver = Some(topic.subscribe());
        Subscription {
            key: key.clone(),
            receiver,
            topics: Arc::clone(&self.topics),
        }
    }
}

impl Changes {
    fn partitions(&self) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
        let partitions = self.partitions.lock();
        partitions.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a waiter reads the store of its own accord.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// While the wake-up connection is down.
    pub deaf: Duration,
    /// While it is up.
    pub listening: Duration,
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
                () = tokio::time::sleep_until(self.next) => return self.read_at(Instant::now()),
                // The sender lives as long as the gateway.
                Ok(()) = self.listening.changed() => self.heard_at(Instant::now()),
            }
        }
    }

    fn read_at(&mut self, now: Instant) {
        let is_listening = *self.listening.borrow();
        self.next = now
            + if is_listening {
                self.pace.listening
            } else {
                self.pace.deaf
            };
    }

    fn heard_at(&mut self, now: Instant) {
        self.next = self.next.min(now + self.catch_up_after);
    }
}

/// Wakes waiters for what other processes commit, until `stopping`. A connection
/// that breaks is made again; what was missed meanwhile, waiters find when they
/// look at the store of their own accord.
pub async fn relay(store: Arc<dyn Store>, hub: Hub, stopping: CancellationToken) {
    let wake = |heard: Notification| match heard {
        Notification::Listening => {
            hub.listening.send_replace(true);
        }
        Notification::Change(key, version) => hub.wake(&key, version),
    };
    let mut heard = true;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            result = store.listen(&wake) => {
                hub.listening.send_replace(false);
                // A failure is told once, not at every try.
                if let (Err(error), true) = (&result, heard) {
                    warn!(%error, "changes made by other processes are not heard of");
                }
                heard = result.is_ok();
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
    receiver: Option<watch::Receiver<News>>,
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
                deaf: seconds(5),
                listening: seconds(3600),
            },
            catch_up_after: seconds(4),
            next: began,
        };
        poll.read_at(began);
        assert_eq!(poll.next, began + seconds(5), "down: often");
        listening.send_replace(true);
        poll.heard_at(began + seconds(2));
        assert_eq!(poll.next, began + seconds(5), "not later than planned");
        poll.read_at(began + seconds(5));
        assert_eq!(poll.next, began + seconds(3605), "up: only the safety poll");
        // It breaks and is made again: one read finds what was missed.
        poll.heard_at(began + seconds(100));
        assert_eq!(poll.next, began + seconds(104));
        poll.read_at(began + seconds(104));
        assert_eq!(poll.next, began + seconds(3704));
    }
}
