//! Store errors, by whether the write may have happened.
//!
//! | error | the write | retry |
//! | --- | --- | --- |
//! | [`StoreError::Unavailable`] | determinate: it did not happen | yes |
//! | [`StoreError::Indeterminate`] | may have happened, or may still happen | after a read-back |
//! | [`StoreError::Unacknowledged`] | happened, but a failover may lose it | never send it |
//! | [`StoreError::Corrupt`], [`StoreError::KeyMissing`], [`StoreError::Unsuitable`] | see below | no |
//! | [`StoreError::Retired`] | determinate: it did not happen, and never will | no |
//!
//! A back end returns `Unavailable` only when it is certain: it never sent the call, or the
//! server rejected the call before it executed anything. Every other failure is indeterminate. A
//! call that writes nothing may return either.
//!
//! `Corrupt`, `KeyMissing` and `Unsuitable` are determinate from `commit` and `put_note`. A call that reads after
//! it wrote (the lease on a status check, the read-back of a claim) may return them although the
//! write happened.

use super::tombstone::Tombstone;

/// A failure of a store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A determinate failure: the store could not be reached, or rejected the call. Nothing was
    /// written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An indeterminate result: the reply was lost, or did not arrive in time. The write may
    /// have happened, or may still happen.
    #[error("the store is unavailable: {0}")]
    Indeterminate(String),
    /// A claim is stored, but too few replicas have it: a failover could lose it. It must not be
    /// sent.
    #[error("the store is unavailable: {0}")]
    Unacknowledged(String),
    /// The stored value of a key is not a valid transaction of this release.
    #[error("the record of {key} is unusable: {problem}")]
    Corrupt {
        /// The key.
        key: String,
        /// The fault of the value.
        problem: String,
    },
    /// The stored value of a key is encrypted with a key that is not configured here. Another
    /// gateway can read it.
    #[error(
        "the record of {key} is encrypted with the key {id:?}, which is not configured: add it to \
         store.encryption_key_files"
    )]
    KeyMissing {
        /// The key under which it is stored.
        key: String,
        /// The id of the key of encryption.
        id: String,
    },
    /// The store must not be used as it is; the text names the remedy.
    #[error("the store cannot be used: {0}")]
    Unsuitable(String),
    /// The transaction has ended and was retired: only its tombstone is left. It is no fault of
    /// the store.
    #[error("the transaction was retired in its final state {}", .0.state.name())]
    Retired(Tombstone),
}

impl StoreError {
    /// Returns true for a transient failure, which is worth a retry.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Indeterminate(_) | Self::Unacknowledged(_)
        )
    }

    /// Returns true when the write may have happened, but is not known to: read it back.
    #[must_use]
    pub const fn is_indeterminate(&self) -> bool {
        matches!(self, Self::Indeterminate(_))
    }

    /// Returns the tombstone, if the transaction was retired.
    #[must_use]
    pub const fn tombstone(&self) -> Option<&Tombstone> {
        match self {
            Self::Retired(tombstone) => Some(tombstone),
            _ => None,
        }
    }

    /// Returns true for a failure of one record: others can be read.
    #[must_use]
    pub const fn is_of_record(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::KeyMissing { .. })
    }

    /// Turns a determinate failure into an indeterminate one: another write of the same call may
    /// have happened.
    #[must_use]
    pub fn into_indeterminate(self) -> Self {
        match self {
            Self::Unavailable(problem) => Self::Indeterminate(problem),
            other => other,
        }
    }
}
