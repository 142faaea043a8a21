//! The facts that a store holds about itself and its accounts.

use std::collections::{BTreeMap, BTreeSet};

use crate::{store::record, transaction::AccountName};

/// Fact to value, as stored.
pub(in crate::store) type Facts = BTreeMap<String, String>;

/// The fact that holds the version of the stored form.
pub(in crate::store) const SCHEMA_FACT: &str = "schema";
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

/// Returns the facts of the store itself, by name; only Redis has `partitions`.
pub(super) fn store_facts(partitions: Option<u64>) -> Vec<(String, String)> {
    let mut facts = vec![(SCHEMA_FACT.to_owned(), record::SCHEMA.to_string())];
    facts.extend(partitions.map(|count| (PARTITIONS_FACT.to_owned(), count.to_string())));
    facts
}

/// Returns the account names that a store has ever been used with.
pub(in crate::store) fn account_names(stored: &Facts) -> BTreeSet<AccountName> {
    let names = stored.keys().filter_map(|fact| fact.strip_prefix(ACCOUNT));
    names
        .filter_map(|name| AccountName::parse(name).ok())
        .collect()
}
