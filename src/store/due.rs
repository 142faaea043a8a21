//! Due status checks, and the leases on them.

use std::time::Duration;

use crate::transaction::{AccountName, LeaseToken, TransactionKey};

/// A status check that is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DueCheck {
    /// The transaction.
    pub key: TransactionKey,
    /// The account that pays, which is to be asked.
    pub account: AccountName,
    /// A callback or a caller asked for it; else it was scheduled.
    pub is_asked: bool,
}

/// The status checks that are due.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Those that were asked for, then the scheduled ones, each longest due first.
    pub checks: Vec<DueCheck>,
    /// How many are due, about: a store may stop counting at some thousands.
    pub count: u64,
}

/// Due transactions that the indexes of some accounts lack.
#[derive(Clone, Debug, Default)]
pub struct Unindexed {
    /// The transactions.
    pub keys: Vec<TransactionKey>,
    /// There is no further page.
    pub is_last: bool,
}

/// A lease on a status check that is to be acquired.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Names it, so that only its holder releases it.
    pub token: LeaseToken,
    /// The time after which it ends by itself.
    pub lasts: Duration,
}
