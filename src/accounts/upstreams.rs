//! The clients of the configured accounts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::directory::AccountDirectory;
use crate::{
    okebayar::client::Client,
    transaction::{AccountName, AccountNames},
};

/// One configured OKEBAYAR account and its client.
pub struct Upstream {
    /// The client that calls OKEBAYAR.
    pub client: Client,
    /// The time-out of one call.
    pub timeout: Duration,
    /// Trust in callbacks without a confirming status check.
    pub callback_trusted: bool,
    /// Use of reference codes that the gateway generates for prepaid inquiries.
    pub own_inquiry_reference: bool,
    /// Refusal of a `max_price` while the price is unknown.
    pub unknown_price_refused: bool,
    /// The former names of the account.
    pub formerly: Vec<AccountName>,
}

/// The configured accounts, accessible by present and former names.
pub struct Upstreams {
    by_name: BTreeMap<AccountName, Upstream>,
    directory: Arc<AccountDirectory>,
}

impl Upstreams {
    /// Builds the accounts; `default` is the account of requests that do not name one.
    #[must_use]
    pub fn new(by_name: BTreeMap<AccountName, Upstream>, default: AccountName) -> Self {
        let renamed = by_name.iter().flat_map(|(name, upstream)| {
            let former = upstream.formerly.iter();
            former.map(|former| (former.clone(), name.clone()))
        });
        let names = AccountNames::new(renamed);
        let configured = by_name.keys().cloned().collect();
        let directory = Arc::new(AccountDirectory::new(configured, names, default));
        Self { by_name, directory }
    }

    /// Returns the directory of account names.
    #[must_use]
    pub fn directory(&self) -> &Arc<AccountDirectory> {
        &self.directory
    }

    /// Returns an account, from any of its names: the record of a transaction may hold a former
    /// name. `None` when it is not configured.
    #[must_use]
    pub fn get(&self, name: &AccountName) -> Option<&Upstream> {
        self.by_name.get(self.directory.present_name(name))
    }

    /// Returns every account with its present name.
    pub fn iter(&self) -> impl Iterator<Item = (&AccountName, &Upstream)> {
        self.by_name.iter()
    }
}
