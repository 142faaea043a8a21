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

/// The pause before a lost subscription is renewed. The failover guard waits longer than this
/// before it treats a store without a note as new.
pub(crate) const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(500);
