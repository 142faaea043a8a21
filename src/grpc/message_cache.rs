//! The messages of recent events, built once for all streams of `WatchTransactions`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{contract::v1, transaction_message};
use crate::transaction::Transaction;

/// The most messages in the cache. Watchers that are up to date read the same few events.
const MESSAGES_MAX: usize = 64;

/// Messages with the transactions that they were built from, newest last.
type Messages = VecDeque<(Arc<Transaction>, Arc<v1::Transaction>)>;

/// A bounded cache of transaction messages.
#[derive(Clone, Default)]
pub(super) struct MessageCache(Arc<Mutex<Messages>>);

impl MessageCache {
    /// Returns the message of a transaction, from the cache if it is there.
    pub(super) fn message(&self, transaction: &Arc<Transaction>) -> v1::Transaction {
        if let Some(known) = self.find(transaction) {
            return v1::Transaction::clone(&known);
        }
        // Two watchers may both build it, because the lock is not held meanwhile.
        let message = transaction_message::build(transaction);
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back((Arc::clone(transaction), Arc::new(message.clone())));
        message
    }

    fn find(&self, transaction: &Arc<Transaction>) -> Option<Arc<v1::Transaction>> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = messages.iter().rev();
        let (_, message) = newest_first.find(|(known, _)| Arc::ptr_eq(known, transaction))?;
        Some(Arc::clone(message))
    }
}
