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
    checks: Mutex<ChecksDueSoon>,
    /// Notified of each check.
    added: Notify,
}

/// The checks, and the time by which they are due.
struct ChecksDueSoon {
    /// Checks that are due later are left to the poll.
    until: Timestamp,
    /// The due times and accounts of the checks.
    checks: HashMap<TransactionKey, (Timestamp, DueCheck)>,
}

impl Default for DueSoon {
    fn default() -> Self {
        Self {
            checks: Mutex::new(ChecksDueSoon {
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
        let mut soon = self.lock();
        let key = transaction.key();
        let has_room = soon.checks.len() < CHECKS_MAX || soon.checks.contains_key(&key);
        if at > soon.until || !has_room {
            return;
        }
        let check = DueCheck {
            key: key.clone(),
            account: transaction.account().clone(),
            // The earlier one of its two times is due first.
            is_asked: transaction.asked_at().is_some_and(|asked| asked <= at),
        };
        soon.checks.insert(key, (at, check));
        drop(soon);
        self.added.notify_one();
    }

    /// Takes the checks, with the times at which they are due, and accepts those that are due by
    /// `until` from now on.
    pub(super) fn take(&self, until: Timestamp) -> Vec<(Timestamp, DueCheck)> {
        let mut soon = self.lock();
        soon.until = until;
        std::mem::take(&mut soon.checks).into_values().collect()
    }

    /// Waits until a check is added.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// Locks the checks.
    fn lock(&self) -> MutexGuard<'_, ChecksDueSoon> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
