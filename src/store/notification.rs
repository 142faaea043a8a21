//! Notifications of changes, from the processes that share a store.

use std::time::Duration;

use crate::transaction::TransactionKey;

/// A notification of [`super::Store::listen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// The subscription is up: changes from now on are notified.
    Listening,
    /// A process committed this version of a transaction.
    Change(TransactionKey, u64),
}

/// The callback of [`super::Store::listen`].
pub type Wake<'a> = &'a (dyn Fn(Notification) + Send + Sync);

/// The pause before a broken subscription is made again. A store without a note counts as new
/// only when nobody listens for longer than that, so the failover guard waits for it.
pub(crate) const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);
