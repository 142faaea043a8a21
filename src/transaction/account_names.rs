//! The names of accounts, present and former.

use std::collections::BTreeMap;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::code_types::{BadCode, check, code, shown};

code!(
    /// The configured name of an OKEBAYAR account.
    AccountName,
    1..=32,
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    "give 1 to 32 lower-case letters, digits or hyphens"
);
shown!(AccountName);

/// The former names of the configured accounts.
///
/// A transaction keeps the account name with which it was created. Every lookup by a transaction's
/// account (client, time-out, metrics, callbacks) uses [`AccountNames::current`], so that a renamed
/// account keeps its transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountNames {
    /// Former name to present name.
    present: BTreeMap<AccountName, AccountName>,
}

impl AccountNames {
    /// Builds the names from pairs of a former and a present name.
    #[must_use]
    pub fn new(renamed: impl IntoIterator<Item = (AccountName, AccountName)>) -> Self {
        Self {
            present: renamed.into_iter().collect(),
        }
    }

    /// Returns the present name of an account; a name that was never changed is
    /// returned as it is.
    #[must_use]
    pub fn current<'a>(&'a self, name: &'a AccountName) -> &'a AccountName {
        self.present.get(name).unwrap_or(name)
    }

    /// Returns true when both names are names of one account.
    #[must_use]
    pub fn is_same(&self, one: &AccountName, other: &AccountName) -> bool {
        self.current(one) == self.current(other)
    }

    /// Returns the former names of an account, given by its present name.
    pub fn former<'a>(&'a self, present: &'a AccountName) -> impl Iterator<Item = &'a AccountName> {
        let renamed = self.present.iter();
        renamed.filter_map(move |(former, current)| (current == present).then_some(former))
    }

    /// Returns every name of an account, the present one first.
    pub fn all<'a>(&'a self, present: &'a AccountName) -> impl Iterator<Item = &'a AccountName> {
        std::iter::once(present).chain(self.former(present))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_name_resolves_to_the_present_one() {
        let name = |text| AccountName::parse(text).unwrap();
        let names = AccountNames::new([
            (name("old"), name("new")),
            (name("older"), name("new")),
            (name("x"), name("y")),
        ]);
        assert_eq!(names.current(&name("old")), &name("new"));
        assert_eq!(names.current(&name("new")), &name("new"));
        assert_eq!(names.current(&name("other")), &name("other"));
        assert!(names.is_same(&name("old"), &name("older")));
        assert!(!names.is_same(&name("old"), &name("x")));
        let all: Vec<_> = names.all(&name("new")).cloned().collect();
        assert_eq!(all, [name("new"), name("old"), name("older")]);
    }
}
