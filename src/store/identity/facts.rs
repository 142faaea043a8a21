//! The facts that a store holds about itself and its accounts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    store::{error::StoreError, record},
    transaction::AccountName,
};

/// Fact to value, as stored.
pub(in crate::store) type Facts = BTreeMap<String, String>;

/// The fact that holds the version of the stored form.
pub(in crate::store) const SCHEMA_FACT: &str = "schema";
/// The fact that holds the schema with which the store was created.
pub(super) const CREATED_FACT: &str = "created";
/// The fact that holds the number of partitions.
pub(super) const PARTITIONS_FACT: &str = "partitions";
/// The prefix of the facts of account names.
pub(super) const ACCOUNT: &str = "account:";
/// The prefix of the facts of user ids.
pub(super) const USER_ID: &str = "userid:";

/// Returns the fact of an account name.
pub(super) fn account_fact(name: &str) -> String {
    format!("{ACCOUNT}{name}")
}

/// Returns the fact of the hash of a user id.
pub(super) fn user_id_fact(hash: &str) -> String {
    format!("{USER_ID}{hash}")
}

/// Returns the fact of the number of partitions; only Redis has it.
pub(super) fn partitions_fact(partitions: Option<u64>) -> Option<(String, String)> {
    partitions.map(|count| (PARTITIONS_FACT.to_owned(), count.to_string()))
}

/// Returns the schema of a store, if it has one that this release knows.
pub(in crate::store) fn schema_of(stored: &Facts) -> Option<u32> {
    let schema = stored.get(SCHEMA_FACT)?.parse().ok();
    schema.filter(|schema| (record::SCHEMA_BEFORE..=record::SCHEMA).contains(schema))
}

/// Returns true when a store was created with the schema of this release, so that no gateway of the
/// release before has ever used it.
pub(in crate::store) fn is_unshared(stored: &Facts) -> bool {
    stored.get(CREATED_FACT) == Some(&record::SCHEMA.to_string())
}

/// Returns the fact that raises a store to the schema of this release; none when it has it.
///
/// # Errors
/// [`StoreError::Unsuitable`] when the store has no schema that this release knows.
pub(in crate::store) fn upgraded(stored: &Facts) -> Result<Facts, StoreError> {
    let schema = schema_of(stored).ok_or_else(|| {
        StoreError::Unsuitable("it has no schema that this release can upgrade".to_owned())
    })?;
    let mut facts = Facts::new();
    if schema < record::SCHEMA {
        facts.insert(SCHEMA_FACT.to_owned(), record::SCHEMA.to_string());
    }
    Ok(facts)
}

/// Returns the account names that a store has ever been used with.
pub(in crate::store) fn account_names(stored: &Facts) -> BTreeSet<AccountName> {
    let names = stored.keys().filter_map(|fact| fact.strip_prefix(ACCOUNT));
    names
        .filter_map(|name| AccountName::parse(name).ok())
        .collect()
}
