//! Due status checks, and the leases on them.

use std::time::Duration;

use crate::transaction::{AccountName, LeaseToken, TransactionKey};

/// A status check that is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DueCheck {
    /// The transaction.
    pub key: TransactionKey,
    /// The account that pays, under which the check is made.
    pub account: AccountName,
    /// True for a check that a callback or a caller requested.
    pub is_asked: bool,
}

/// The status checks that are due.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Requested checks, then scheduled ones, each by due time.
    pub checks: Vec<DueCheck>,
    /// The approximate number of due checks: a store may stop counting at some thousands.
    pub count: u64,
    /// A transaction of any account is due. If false, [`Store::unindexed`](super::Store::unindexed)
    /// would find none.
    pub is_any_due: bool,
}

/// Due transactions that are missing from the indexes of some accounts.
#[derive(Clone, Debug, Default)]
pub struct Unindexed {
    /// The transactions.
    pub keys: Vec<TransactionKey>,
    /// This is the last page.
    pub is_last: bool,
}

/// A request for a lease on a due status check.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The token of its holder, which alone releases it.
    pub token: LeaseToken,
    /// The duration after which it expires.
    pub lasts: Duration,
}
