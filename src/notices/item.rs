//! The JSON form of notices and orphans in the store.

use serde::{Serialize, de::DeserializeOwned};

use crate::store::StoreError;

/// Serializes an item or note.
pub(super) fn to_json(item: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(item).map_err(|error| unreadable(&error))
}

/// Parses an item or note.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

/// Builds the error for an unreadable item. It quotes no content.
fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt {
        key: "an item of the inbox".to_owned(),
        problem: format!("it cannot be read (column {})", error.column()),
    }
}
