//! The directory of account names.

use std::collections::BTreeSet;

use crate::transaction::{AccountName, AccountNames};

/// The names of the configured accounts, former names included.
#[derive(Debug)]
pub struct AccountDirectory {
    /// The present names.
    configured: BTreeSet<AccountName>,
    names: AccountNames,
    /// The account of requests that do not name one.
    default: AccountName,
}

impl AccountDirectory {
    /// Builds the directory; `configured` are the present names.
    #[must_use]
    pub fn new(
        configured: BTreeSet<AccountName>,
        names: AccountNames,
        default: AccountName,
    ) -> Self {
        Self {
            configured,
            names,
            default,
        }
    }

    /// Returns the account of requests that do not name one.
    #[must_use]
    pub fn default_account(&self) -> &AccountName {
        &self.default
    }

    /// Returns the number of configured accounts.
    #[must_use]
    pub fn count(&self) -> usize {
        self.configured.len()
    }

    /// Returns the present and the former names of the accounts.
    #[must_use]
    pub fn names(&self) -> &AccountNames {
        &self.names
    }

    /// Returns the present name of an account, from any of its names, configured or not.
    #[must_use]
    pub fn present_name<'a>(&'a self, name: &'a AccountName) -> &'a AccountName {
        self.names.current(name)
    }

    /// Returns the present name of an account, from any of its names; `None` when it is not
    /// configured.
    #[must_use]
    pub fn configured(&self, name: &AccountName) -> Option<AccountName> {
        let present = self.present_name(name);
        self.configured.contains(present).then(|| present.clone())
    }

    /// Returns true when `named` is any name of `account`, or when the request names no account:
    /// then the transaction of `account` may be the one that it means.
    #[must_use]
    pub fn is_meant(&self, account: &AccountName, named: Option<&AccountName>) -> bool {
        named.is_none_or(|named| self.names.is_same(named, account))
    }

    /// Returns the present and former names of the named account, or of all configured accounts.
    pub fn names_of<'a>(
        &'a self,
        named: Option<&'a AccountName>,
    ) -> impl Iterator<Item = &'a AccountName> {
        let accounts = self.configured.iter();
        let meant = accounts.filter(move |account| self.is_meant(account, named));
        meant.flat_map(|account| self.names.all(account))
    }
}
