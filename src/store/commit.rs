//! The result of a commit.

use std::sync::Arc;

use crate::transaction::Transaction;

/// The result of a commit.
#[derive(Debug, Clone)]
pub enum Commit {
    /// The change is stored.
    Done,
    /// The stored version is not the base version; `None` when none is stored. The change is not
    /// stored.
    Conflict(Option<Arc<Transaction>>),
    /// The store has another epoch or seal. The change is not stored.
    OtherEpoch,
}
