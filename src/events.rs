//! From committed changes to whoever waits for them, within this process.
//!
//! The hub only wakes and shows the newest version; it never queues. A waiter that
//! fell behind, or that watches a change made elsewhere, reads the missing
//! revisions from the store. So memory is bounded by the number of waiters.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::transaction::{Transaction, TransactionKey};

type Newest = Option<Arc<Transaction>>;
type Topics = Arc<Mutex<HashMap<TransactionKey, watch::Sender<Newest>>>>;

/// Tells waiters of committed changes.
#[derive(Clone, Default)]
pub struct Hub {
    topics: Topics,
}

impl Hub {
    /// Shows a committed version to those who wait for the transaction.
    pub fn publish(&self, transaction: &Arc<Transaction>) {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(&transaction.key()) {
            topic.send_if_modified(|newest| {
                let is_newer = newest
                    .as_ref()
                    .is_none_or(|known| known.version() < transaction.version());
                if is_newer {
                    *newest = Some(Arc::clone(transaction));
                }
                is_newer
            });
        }
    }

    /// Waits for changes of a transaction from now on.
    #[must_use]
    pub fn subscribe(&self, key: &TransactionKey) -> Subscription {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = match topics.entry(key.clone()) {
            Entry::Occupied(topic) => topic.get().subscribe(),
            Entry::Vacant(topic) => topic.insert(watch::Sender::new(None)).subscribe(),
        };
        Subscription {
            key: key.clone(),
            receiver: Some(receiver),
            topics: Arc::clone(&self.topics),
        }
    }
}

/// One waiter's view of one transaction.
pub struct Subscription {
    key: TransactionKey,
    /// Taken out only by `drop`.
    receiver: Option<watch::Receiver<Newest>>,
    topics: Topics,
}

impl Subscription {
    /// The next version that this process commits. Cancelling loses nothing.
    pub async fn changed(&mut self) -> Arc<Transaction> {
        if let Some(receiver) = &mut self.receiver {
            while receiver.changed().await.is_ok() {
                if let Some(newest) = receiver.borrow_and_update().as_ref() {
                    return Arc::clone(newest);
                }
            }
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
