//! The identity as a running gateway has seen it, to restore what a store lost.

use std::sync::Arc;

use super::{
    accounts::Identity,
    adopt::verify_store,
    copy_mark::refuse_marked,
    facts::{Facts, SCHEMA_FACT, account_fact, schema_of, user_id_fact},
    keys::verify_keys,
};
use crate::{
    store::{error::StoreError, record::EncryptionKeys},
    transaction::{AccountName, AccountNames},
};

/// The identity that a running gateway adopted, with every fact that it saw.
#[derive(Debug)]
pub(in crate::store) struct SeenIdentity {
    /// The identity that was adopted.
    pub(in crate::store) identity: Identity,
    /// The keys of encryption of this process.
    pub(in crate::store) keys: Arc<EncryptionKeys>,
    /// Every fact that was seen in the store.
    pub(in crate::store) seen: Facts,
}

impl SeenIdentity {
    /// Returns true when the store lacks facts that were seen before. Others may be missing too.
    pub(in crate::store) fn is_torn(&self, stored: &Facts) -> bool {
        self.seen.keys().any(|fact| !stored.contains_key(fact))
    }

    /// Returns the missing facts, to be written again. A fact with another value stays: an account
    /// may be renamed, or get another user id, while gateways run.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when a gateway with another identity, or another key under one of
    /// our ids, adopted the store.
    pub(in crate::store) fn restore(
        &self,
        partitions: Option<u64>,
        stored: &Facts,
    ) -> Result<Facts, StoreError> {
        refuse_marked(stored)?;
        verify_store(partitions, stored)?;
        verify_keys(&self.keys, stored)?;
        for (name, hash) in &self.identity.accounts {
            if !may_be_ours(stored, &self.identity.names, name, hash) {
                return Err(StoreError::Unsuitable(format!(
                    "it was emptied or restored, and now has account {name} with another user id \
                     or name. If a gateway with another configuration adopted it: stop that \
                     gateway, and see docs/OPERATIONS.md. If a backup from before a change of the \
                     user id was restored: run okebayar-gateway store change-userid --account \
                     {name} again"
                )));
            }
        }
        let mut gone = self.seen.clone();
        // A schema is only ever raised: an emptied store may have been adopted by a gateway that
        // had not learnt of the upgrade.
        let is_lower = schema_of(stored) < schema_of(&self.seen);
        gone.retain(|fact, _| {
            !stored.contains_key(fact) || fact.as_str() == SCHEMA_FACT && is_lower
        });
        Ok(gone)
    }
}

/// Returns true when no stored fact contradicts that an account has this user id, or had it
/// before it was renamed or got another one: both changes keep the former facts.
fn may_be_ours(stored: &Facts, names: &AccountNames, name: &AccountName, hash: &str) -> bool {
    let known = stored.get(&account_fact(name.as_str()));
    let is_name = |present: &str| present == name.as_str();
    match (stored.get(&user_id_fact(hash)), known) {
        (None, None) => true,
        (None, Some(known)) => known == hash,
        // A backup from before the account was renamed.
        (Some(present), None) => {
            is_name(present) || names.former(name).any(|former| former.as_str() == present)
        }
        (Some(present), Some(_)) => is_name(present) || stored.get(&account_fact(present)) == known,
    }
}
