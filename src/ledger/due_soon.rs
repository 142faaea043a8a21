//! The status checks that become due soon by commits of this process, for its reconciler.
//!
//! The committer of a change knows when the next check of the transaction is due. So the reconciler
//! of the same process begins that check on time without reading the due indexes. Nothing depends
//! on it: the indexes hold every check, those of other processes included, and the reconciler polls
//! them (promise 11).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    store::DueCheck,
    transaction::{Transaction, TransactionKey},
};

/// The most checks that wait for the reconciler; it finds further ones by its poll.
const CHECKS_MAX: usize = 1024;

/// The checks that become due before the next poll of the reconciler.
pub(super) struct DueSoon {
    state: Mutex<State>,
    /// Notified of each check.
    added: Notify,
}

struct State {
    /// Checks that are due later are left to the poll.
    until: Timestamp,
    /// The due times and accounts of the checks.
    checks: HashMap<TransactionKey, (Timestamp, DueCheck)>,
}

impl Default for DueSoon {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                until: Timestamp::MIN,
                checks: HashMap::new(),
            }),
            added: Notify::new(),
        }
    }
}

impl DueSoon {
    /// Adds the check of a committed transaction, if it is due soon.
    pub(super) fn add(&self, transaction: &Transaction) {
        let Some(at) = transaction.due_at() else {
            return;
        };
        let mut state = self.state();
        let key = transaction.key();
        let has_room = state.checks.len() < CHECKS_MAX || state.checks.contains_key(&key);
        if at > state.until || !has_room {
            return;
        }
        let check = DueCheck {
            key: key.clone(),
            account: transaction.account().clone(),
            // The earlier one of its two times is due first.
            is_asked: transaction.asked_at().is_some_and(|asked| asked <= at),
        };
        state.checks.insert(key, (at, check));
        drop(state);
        self.added.notify_one();
    }

    /// Takes the checks, with the times at which they are due, and accepts those that are due by
    /// `until` from now on.
    pub(super) fn take(&self, until: Timestamp) -> Vec<(Timestamp, DueCheck)> {
        let mut state = self.state();
        state.until = until;
        std::mem::take(&mut state.checks).into_values().collect()
    }

    /// Waits until a check is added.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// Locks the checks.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
