//! The accounts of a store.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::transaction::{AccountName, AccountNames};

/// The accounts of a gateway. A store with the identity of other accounts is rejected.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Account name to the SHA-256 of its user id, in hex.
    pub accounts: BTreeMap<AccountName, String>,
    /// The former names of those accounts.
    pub names: AccountNames,
    /// The replication epoch of an embedded store that is created or restored with it.
    pub epoch: Uuid,
}

/// The accounts that a store was used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAccounts {
    /// Their names, former ones included.
    pub names: BTreeSet<AccountName>,
    /// False when the store lacks names that this process saw: others may be missing as well.
    pub is_whole: bool,
}
