//! The stored forms. Loading is input: it is verified.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Listed, StoreError};
use crate::transaction::{Transaction, TransactionKey};

/// The version of the stored form; a store names the one it was made with.
pub const SCHEMA: u32 = 3;

#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    transaction: &'a Transaction,
}

#[derive(Deserialize)]
struct Read {
    schema: u32,
    transaction: Transaction,
}

/// The bytes to store.
pub fn encode(transaction: &Transaction) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Written {
        schema: SCHEMA,
        transaction,
    })
    .map_err(|error| corrupt(&transaction.key(), &error.to_string()))
}

/// The transaction that was stored under `key`.
pub fn decode(key: &TransactionKey, bytes: &[u8]) -> Result<Arc<Transaction>, StoreError> {
    let read: Read = serde_json::from_slice(bytes).map_err(|error| {
        // The error's text may quote the record: only its place is told.
        corrupt(
            key,
            &format!("it cannot be read (column {})", error.column()),
        )
    })?;
    if read.schema != SCHEMA {
        return Err(corrupt(
            key,
            &format!("schema {} is not {SCHEMA}", read.schema),
        ));
    }
    let transaction = read
        .transaction
        .verified()
        .map_err(|error| corrupt(key, &error.to_string()))?;
    if transaction.key() != *key {
        return Err(corrupt(key, "it belongs to another reference code"));
    }
    Ok(Arc::new(transaction))
}

/// The key that was stored as text, in an index or a message.
pub fn parse_key(text: &str) -> Result<TransactionKey, StoreError> {
    TransactionKey::parse(text).map_err(|error| StoreError::Corrupt {
        key: text.to_owned(),
        problem: error.to_string(),
    })
}

/// The entry of a transaction in the listing of its state.
pub fn listed(transaction: &Transaction) -> (&'static str, Listed) {
    let listed = Listed {
        created_ms: transaction.created_at().as_millisecond(),
        name: transaction.key().to_string(),
    };
    (transaction.standing().state.name(), listed)
}

fn corrupt(key: &TransactionKey, problem: &str) -> StoreError {
    StoreError::Corrupt {
        key: key.to_string(),
        problem: problem.to_owned(),
    }
}
