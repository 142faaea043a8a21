//! The change of the user id of an account.

use std::collections::BTreeSet;

use super::facts::{Facts, account_fact, account_names, user_id_fact};
use crate::{store::error::StoreError, transaction::AccountName};

/// A change of the user id of an account: OKEBAYAR assigned another member id to the same
/// contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdChange {
    /// The account, by its present name.
    pub account: AccountName,
    /// The SHA-256 of the new user id, in hex.
    pub to: String,
}

/// The user id of an account before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdBefore {
    /// Its SHA-256, in hex.
    pub hash: String,
    /// Every name that the store has for it, former ones included.
    pub names: BTreeSet<AccountName>,
}

impl UserIdChange {
    /// Returns the user id that the store has now, and the facts to write; none when it already
    /// has the new one.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when the change is rejected.
    pub(in crate::store) fn plan(
        &self,
        stored: &Facts,
    ) -> Result<(UserIdBefore, Facts), StoreError> {
        let (name, to) = (&self.account, &self.to);
        let Some(from) = stored.get(&account_fact(name.as_str())) else {
            return Err(StoreError::Unsuitable(format!(
                "it has no account {name}, so there is no user id to change; name an account that \
                 this store was used with"
            )));
        };
        let belongs_to = |hash: &str| {
            let present = stored.get(&user_id_fact(hash))?;
            (present != name.as_str()).then_some(present)
        };
        if let Some(present) = belongs_to(from) {
            return Err(StoreError::Unsuitable(format!(
                "account {name} is a former name of {present}; change the user id of {present}"
            )));
        }
        if let Some(other) = belongs_to(to) {
            return Err(StoreError::Unsuitable(format!(
                "accounts.{name}.userid: the new user id belongs to account {other}; two accounts \
                 cannot have one user id"
            )));
        }
        let mut facts = Facts::new();
        let mut names = BTreeSet::new();
        for known in account_names(stored) {
            let fact = account_fact(known.as_str());
            if stored.get(&fact) == Some(from) {
                facts.insert(fact, to.clone());
                names.insert(known);
            }
        }
        facts.insert(user_id_fact(to), name.to_string());
        facts.retain(|fact, value| stored.get(fact) != Some(value));
        let before = UserIdBefore {
            hash: from.clone(),
            names,
        };
        Ok((before, facts))
    }
}
