//! Adoption of a store by a gateway: the facts to write, or the identity-mismatch error.

use super::{
    accounts::Identity,
    copy_mark::refuse_marked,
    facts::{
        ACCOUNT, CREATED_FACT, Facts, SCHEMA_FACT, USER_ID, account_fact, partitions_fact,
        schema_of, user_id_fact,
    },
    keys::{key_facts, require_keys, verify_keys},
};
use crate::{
    store::{
        error::StoreError,
        record::{self, EncryptionKeys},
    },
    transaction::AccountName,
};

/// The adoption of a store by a gateway.
pub(in crate::store) struct Adoption<'a> {
    /// The accounts of the gateway.
    pub(in crate::store) identity: &'a Identity,
    /// Its keys of encryption.
    pub(in crate::store) keys: &'a EncryptionKeys,
    /// Its number of partitions; only Redis has it.
    pub(in crate::store) partitions: Option<u64>,
    /// The schema of a store that it creates.
    pub(in crate::store) new_schema: u32,
}

impl Adoption<'_> {
    /// Returns the facts to write so that the store has the identity of the gateway; none when it
    /// already has it. Verifies the whole identity before it returns any fact.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] on an identity mismatch.
    pub(in crate::store) fn facts(&self, stored: &Facts) -> Result<Facts, StoreError> {
        let (identity, partitions) = (self.identity, self.partitions);
        if identity.accounts.is_empty() && stored.is_empty() {
            return Err(StoreError::Unsuitable(
                "there is no store yet; the first gateway that starts creates it".to_owned(),
            ));
        }
        refuse_marked(stored)?;
        verify_store(partitions, stored)?;
        require_keys(self.keys, stored)?;
        let mut facts = stored.clone();
        // A store without a schema is a new one.
        if !facts.contains_key(SCHEMA_FACT) {
            for fact in [SCHEMA_FACT, CREATED_FACT] {
                facts.insert(fact.to_owned(), self.new_schema.to_string());
            }
        }
        verify_keys(self.keys, &facts)?;
        let partitions = partitions_fact(partitions).into_iter();
        for (fact, ours) in partitions.chain(key_facts(self.keys)) {
            facts.entry(fact).or_insert(ours);
        }
        for (name, hash) in &identity.accounts {
            adopt_account(identity, name, hash, &mut facts)?;
        }
        facts.retain(|fact, value| stored.get(fact) != Some(value));
        Ok(facts)
    }
}

fn adopt_account(
    identity: &Identity,
    name: &AccountName,
    hash: &str,
    facts: &mut Facts,
) -> Result<(), StoreError> {
    if let Some(known) = facts.get(&account_fact(name.as_str()))
        && known != hash
    {
        return Err(other_user_id(name, known, hash));
    }
    for former in identity.names.former(name) {
        let known = facts.get(&account_fact(former.as_str()));
        if known.is_some_and(|known| known != hash) {
            return Err(StoreError::Unsuitable(format!(
                "accounts.{name}.formerly: the store has account {former} with another user id \
                 than that of {name}; list only an account that had the same user id. If the user \
                 id changed as well: first run okebayar-gateway store change-userid with the \
                 former name, then rename"
            )));
        }
    }
    // A damaged identity may lack the present name: any other name of the user id counts.
    let known = facts.get(&user_id_fact(hash)).map(String::as_str);
    let known = known.or_else(|| {
        let names = facts
            .iter()
            .filter_map(|(fact, known)| Some((fact.strip_prefix(ACCOUNT)?, known)));
        let mut names = names.filter(|(other, known)| *other != name.as_str() && *known == hash);
        names.next().map(|(other, _)| other)
    });
    if let Some(known) = known
        && known != name.as_str()
    {
        let is_renamed = identity
            .names
            .former(name)
            .any(|former| former.as_str() == known && !identity.accounts.contains_key(former));
        if !is_renamed {
            return Err(other_name(name, known));
        }
        let known = known.to_owned();
        for (fact, present) in &mut *facts {
            if fact.starts_with(USER_ID) && *present == known {
                name.as_str().clone_into(present);
            }
        }
    }
    facts.insert(account_fact(name.as_str()), hash.to_owned());
    facts.insert(user_id_fact(hash), name.to_string());
    Ok(())
}

/// Verifies the facts of the store itself, as far as they are stored.
///
/// # Errors
/// [`StoreError::Unsuitable`] when the store has a schema that this release does not know, or
/// another number of partitions.
pub(super) fn verify_store(partitions: Option<u64>, stored: &Facts) -> Result<(), StoreError> {
    if let Some(schema) = stored.get(SCHEMA_FACT)
        && schema_of(stored).is_none()
    {
        return Err(unknown_schema(schema));
    }
    verify_partitions(partitions, stored)
}

/// Verifies that the store has the configured number of partitions, as far as it is stored.
///
/// # Errors
/// [`StoreError::Unsuitable`] when it has another number.
pub(in crate::store) fn verify_partitions(
    partitions: Option<u64>,
    stored: &Facts,
) -> Result<(), StoreError> {
    match partitions_fact(partitions) {
        Some((fact, ours)) => match stored.get(&fact) {
            Some(stored) if *stored != ours => Err(StoreError::Unsuitable(format!(
                "the store has {fact} = {stored}; the configuration has {ours}: configure another \
                 store, or the value of this one"
            ))),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

/// Builds the error of a store whose schema this release does not know.
fn unknown_schema(stored: &str) -> StoreError {
    let ours = record::SCHEMA;
    let is_later = stored.parse::<u32>().is_ok_and(|schema| schema > ours);
    let problem = if is_later {
        format!(
            "it has schema {stored}, which a later release upgraded it to; this release knows \
             schema {ours} at most: start that release"
        )
    } else {
        format!(
            "it has schema {stored}, this release needs schema {ours}: reference codes are \
             unique in the whole store now. Let the former release settle the open transactions, \
             stop every gateway, run `okebayar-gateway guard start` on a new store (it creates \
             one), and only then start this release on the new store, so that reference codes of \
             the old store are not purchased again"
        )
    };
    StoreError::Unsuitable(problem)
}

/// Builds the error of an account that the store has with another user id.
fn other_user_id(name: &AccountName, known: &str, ours: &str) -> StoreError {
    StoreError::Unsuitable(format!(
        "accounts.{name}.userid: the store has account:{name} = {known} (SHA-256 of the user id); \
         the configuration has {ours}: configure the former user id, or another store. If OKEBAYAR \
         assigned another member id to the same contract: okebayar-gateway store change-userid \
         --account {name}. Another contract is another account: give it a name of its own"
    ))
}

/// Builds the error of a user id that the store has under another account name.
fn other_name(name: &AccountName, known: &str) -> StoreError {
    StoreError::Unsuitable(format!(
        "accounts.{name}.userid: the store has this user id as account {known}; name the account \
         {known}, or, if it was renamed, set accounts.{name}.formerly = [\"{known}\"]"
    ))
}
