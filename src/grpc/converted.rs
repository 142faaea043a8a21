//! The latest events as messages, made once for all who watch everything.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{convert, v1};
use crate::transaction::Transaction;

/// How many are kept: watchers that are up to date stand close together.
const KEPT_MAX: usize = 64;

/// Messages by the transaction that they were made of, the newest last.
type Kept = VecDeque<(Arc<Transaction>, Arc<v1::Transaction>)>;

/// A bounded cache of messages.
#[derive(Clone, Default)]
pub(super) struct Converted(Arc<Mutex<Kept>>);

impl Converted {
    /// Returns the message of a transaction.
    pub(super) fn of(&self, transaction: &Arc<Transaction>) -> v1::Transaction {
        if let Some(known) = self.find(transaction) {
            return v1::Transaction::clone(&known);
        }
        // Two watchers may both make it: the lock is not held meanwhile.
        let message = convert::transaction(transaction);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((Arc::clone(transaction), Arc::new(message.clone())));
        message
    }

    fn find(&self, transaction: &Arc<Transaction>) -> Option<Arc<v1::Transaction>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = kept.iter().rev();
        let (_, message) = newest_first.find(|(known, _)| Arc::ptr_eq(known, transaction))?;
        Some(Arc::clone(message))
    }
}
