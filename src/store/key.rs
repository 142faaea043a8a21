//! Transaction keys as stored, in an index or a message.

use super::error::StoreError;
use crate::transaction::TransactionKey;

/// Parses a key that was stored as text.
///
/// # Errors
/// [`StoreError::Corrupt`] when the text is not a key.
pub(crate) fn parse_key(text: &str) -> Result<TransactionKey, StoreError> {
    TransactionKey::parse(text).map_err(|error| StoreError::Corrupt {
        key: text.to_owned(),
        problem: error.to_string(),
    })
}
