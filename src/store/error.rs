//! The failures of a store, apart by what became of the write.
//!
//! | failure | the write | retry |
//! | --- | --- | --- |
//! | [`StoreError::Unavailable`] | determinate: it was not made | yes |
//! | [`StoreError::Indeterminate`] | it may have been made, or may yet be | after a read-back |
//! | [`StoreError::Corrupt`], [`StoreError::Unsuitable`] | determinate: it was not made | no |
//!
//! A back end returns `Unavailable` only when it is certain: it never sent the call, or the
//! server refused the call before it executed anything. Everything else is indeterminate. A
//! call that writes nothing may return either.

/// A failure of a store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A determinate failure: the store could not be reached, or refused the call. Nothing was
    /// written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An indeterminate result: the reply was lost, or did not arrive in time. The write may
    /// have been made, or may yet be.
    #[error("the store is unavailable: {0}")]
    Indeterminate(String),
    /// The stored value of a key cannot be a transaction of this program.
    #[error("the record of {key} is unusable: {problem}")]
    Corrupt {
        /// The key.
        key: String,
        /// The fault of the value.
        problem: String,
    },
    /// The store must not be used as it is; the text names the remedy.
    #[error("the store cannot be used: {0}")]
    Unsuitable(String),
}

impl StoreError {
    /// Returns true when the failure may be over soon, so that a retry makes sense.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Indeterminate(_))
    }

    /// Returns true when a write may have been made all the same: read back.
    #[must_use]
    pub const fn is_indeterminate(&self) -> bool {
        matches!(self, Self::Indeterminate(_))
    }

    /// Returns the failure of a call of several writes, an earlier one of which may have been
    /// made.
    #[must_use]
    pub fn into_indeterminate(self) -> Self {
        match self {
            Self::Unavailable(problem) => Self::Indeterminate(problem),
            other => other,
        }
    }
}
