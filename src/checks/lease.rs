//! Due status checks, and the leases on them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::checks::Checks;
use crate::{
    store::{Due, DueCheck, Lease, StoreError, Unindexed},
    transaction::{AccountName, LeaseToken, Transaction, TransactionKey},
};

/// The lease duration in excess of the upstream time-out.
const LEASE_EXTRA: Duration = Duration::from_secs(10);

/// A due check whose lease this process holds.
#[derive(Debug)]
pub struct LeasedCheck {
    /// The transaction as it was when the lease began.
    pub(super) transaction: Arc<Transaction>,
    pub(super) lease: Lease,
    /// The start of the lease by both clocks, either of which may stand still while the other runs.
    began: (Timestamp, Instant),
}

impl LeasedCheck {
    /// Returns true when the lease has expired, so that another process may hold one.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        let (began_at, began) = self.began;
        let by_wall_clock = Duration::try_from(now.duration_since(began_at));
        began.elapsed() >= self.lease.lasts
            || by_wall_clock.is_ok_and(|passed| passed >= self.lease.lasts)
    }
}

impl Checks {
    /// Returns the names, former ones included, under which this gateway can check transactions.
    fn checked_names(&self) -> Vec<AccountName> {
        self.accounts.names_of(None).cloned().collect()
    }

    /// Returns the checks that are due now, up to about `limit` for each account and kind.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.store
            .due((self.ambient.now)(), &self.checked_names(), limit)
            .await
    }

    /// Returns a page of the due transactions that [`Checks::due`] does not find.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn unindexed(&self, page: usize) -> Result<Unindexed, StoreError> {
        let accounts = self.checked_names();
        let found = self
            .store
            .unindexed((self.ambient.now)(), &accounts, page)
            .await;
        found.inspect_err(|_| self.skipped.forget())
    }

    /// Loads the due check of such a transaction; `None` when this gateway does not have its
    /// account. It then acquires no lease: another gateway may have the account.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load_due(&self, key: &TransactionKey) -> Result<Option<DueCheck>, StoreError> {
        let loaded = match self.ledger.load(key).await {
            // No check of it is due any more.
            Err(StoreError::Retired(_)) => None,
            loaded => loaded?,
        };
        let Some(due) = loaded else {
            return Ok(None);
        };
        if self.upstreams.get(due.account()).is_none() {
            self.pass_over(due).await?;
            return Ok(None);
        }
        let now = (self.ambient.now)();
        Ok(Some(DueCheck {
            key: key.clone(),
            account: due.account().clone(),
            is_asked: due.asked_at().is_some_and(|asked| asked <= now),
        }))
    }

    /// Acquires the lease on a due check; `None` when another process holds the lease, or the check
    /// is no longer due.
    ///
    /// # Errors
    /// [`StoreError`] on an indeterminate result: if the lease was acquired, it expires, and the check is
    /// due again.
    pub async fn lease_due(&self, check: &DueCheck) -> Result<Option<LeasedCheck>, StoreError> {
        let Some(upstream) = self.upstreams.get(&check.account) else {
            return Ok(None);
        };
        let lease = Lease {
            token: LeaseToken::new((self.ambient.random)()),
            lasts: upstream.timeout + LEASE_EXTRA,
        };
        // Taken before the store starts the lease, so that it expires here first.
        let began = ((self.ambient.now)(), Instant::now());
        let leased = self.store.lease_check(check, began.0, lease).await?;
        Ok(leased.map(|transaction| LeasedCheck {
            transaction,
            lease,
            began,
        }))
    }
}
