//! The failures of a store.

/// A failure of a store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It could not be reached, or did not answer in time. A write may have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored under a key cannot be a transaction of this program.
    #[error("the record of {key} is unusable: {problem}")]
    Corrupt {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store must not be used as it is; the text names the remedy.
    #[error("the store cannot be used: {0}")]
    Unsuitable(String),
}
