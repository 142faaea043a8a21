//! The result of a commit.

use std::sync::Arc;

use crate::transaction::Transaction;

/// The result of a commit.
#[derive(Debug, Clone)]
pub enum Commit {
    /// The change is stored.
    Done,
    /// Another version is stored; `None` when there is none at all. The change is not stored.
    Conflict(Option<Arc<Transaction>>),
    /// The replication epoch or the seal is another one. The change is not stored.
    OtherEpoch,
}
