//! From committed changes to whoever waits for them, in this process and others.
//!
//! The hub only wakes and shows the newest version; it never queues. A waiter that
//! fell behind, or that watches a change made elsewhere, reads the missing
//! revisions from the store. So memory is bounded by the number of waiters.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    store::Store,
    transaction::{Transaction, TransactionKey},
};

/// The pause before a broken connection is made again.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is known of the newest version of a transaction.
#[derive(Clone, Default)]
struct News {
    version: u64,
    /// The version itself, when this process committed it.
    transaction: Option<Arc<Transaction>>,
}

type Topics = Arc<Mutex<HashMap<TransactionKey, watch::Sender<News>>>>;

/// Tells waiters of committed changes.
#[derive(Clone, Default)]
pub struct Hub {
    topics: Topics,
    /// Counts what happens to any transaction, for those who watch all.
    all: watch::Sender<u64>,
}

impl Hub {
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

    /// Waits for changes of any transaction from now on.
    #[must_use]
    pub fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.all.subscribe()
    }

    fn tell(&self, key: &TransactionKey, news: News) {
        self.all.send_modify(|count| *count += 1);
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

/// Wakes waiters for what other processes commit, until `stopping`. A connection
/// that breaks is made again; what was missed meanwhile, waiters find when they
/// look at the store of their own accord.
pub async fn relay(store: Arc<dyn Store>, hub: Hub, stopping: CancellationToken) {
    let wake = |key: TransactionKey, version: u64| hub.wake(&key, version);
    let mut heard = true;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            result = store.listen(&wake) => {
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
