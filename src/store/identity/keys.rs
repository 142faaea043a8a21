//! The keys of encryption that a store was used with, by their check values.
//!
//! A store holds the check value of each key from the first gateway on that encrypts, so that another
//! key under a known id, or a configuration that lost its keys, is refused at the start. Otherwise
//! each record would fail alone, and what is written would need the other key, or none.

use super::{copy_mark::true_schema, facts::Facts};
use crate::store::{
    error::StoreError,
    record::{self, EncryptionKeys},
};

/// The prefix of the facts of keys.
const KEY: &str = "key:";

/// Returns the facts of configured keys; none for keys that only decrypt, so that they can be rolled
/// out before any gateway encrypts.
pub(in crate::store) fn key_facts(keys: &EncryptionKeys) -> Facts {
    let keys = keys.iter().filter(|_| keys.encrypts());
    let fact = |key: &record::EncryptionKey| (format!("{KEY}{}", key.id()), key.check().to_owned());
    keys.map(fact).collect()
}

/// Verifies that the configured keys are those of a store, as far as it knows them, and that nothing
/// is encrypted that the release before this one would have to read.
///
/// # Errors
/// [`StoreError::Unsuitable`] when they are not.
pub(in crate::store) fn verify_keys(
    keys: &EncryptionKeys,
    stored: &Facts,
) -> Result<(), StoreError> {
    let before = record::SCHEMA_BEFORE;
    if keys.encrypts() && true_schema(stored) == Some(&before.to_string()) {
        return Err(StoreError::Unsuitable(format!(
            "it has schema {before}, in which nothing is encrypted, because the release before this \
             one shares it: run okebayar-gateway store upgrade first, or remove \
             store.encryption_key_files"
        )));
    }
    for key in keys.iter() {
        let (id, check) = (key.id(), key.check());
        let known = stored.get(&format!("{KEY}{id}"));
        if known.is_some_and(|known| known != check) {
            return Err(StoreError::Unsuitable(format!(
                "store.encryption_key_files: the store was used with another key {id:?} than the one \
                 configured here: restore the file of that key, and give a new key an id of its own"
            )));
        }
    }
    Ok(())
}

/// Verifies that a store with encrypted records is not opened without keys.
///
/// # Errors
/// [`StoreError::Unsuitable`] when it is.
pub(super) fn require_keys(keys: &EncryptionKeys, stored: &Facts) -> Result<(), StoreError> {
    let ids = stored.keys().filter_map(|fact| fact.strip_prefix(KEY));
    let ids: Vec<&str> = ids.collect();
    if ids.is_empty() || !keys.is_unset() {
        return Ok(());
    }
    Err(StoreError::Unsuitable(format!(
        "it holds what is encrypted with the keys {ids:?}, and store.encryption_key_files is not set: \
         set it. To stop encrypting, begin it with \"none\" and keep the keys, which still decrypt"
    )))
}
