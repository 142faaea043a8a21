//! A status check of a transaction that is due (promises 11 and 16).

use std::time::Duration;

use tracing::{debug, warn};

use super::Engine;
use crate::{
    store::StoreError,
    transaction::{Transaction, TransactionKey},
};

/// What a lease allows beyond the upstream time-out.
const LEASE_EXTRA: Duration = Duration::from_secs(10);
/// How long a transaction of an account that is not configured is left alone.
const NO_ACCOUNT_PAUSE: Duration = Duration::from_hours(1);

impl Engine {
    /// Waits until something may have become due.
    pub async fn something_due(&self) {
        self.due.notified().await;
    }

    /// The transactions that are due now, longest due first.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn due(&self, limit: usize) -> Result<Vec<TransactionKey>, StoreError> {
        self.store.due(self.now(), limit).await
    }

    /// Checks one due transaction, unless somebody else is at it.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; the lease then runs out, and
    /// the check is due again.
    pub async fn check_due(&self, key: &TransactionKey) -> Result<(), StoreError> {
        let upstream = self.upstreams.get(key.account());
        let timeout = upstream.map_or(NO_ACCOUNT_PAUSE, |upstream| upstream.timeout);
        let now = self.now();
        let until = now.checked_add(timeout + LEASE_EXTRA).unwrap_or(now);
        if !self.store.lease_check(key, now, until).await? {
            return Ok(());
        }
        let Some(upstream) = upstream else {
            warn!(%key, "a transaction is due, but its account is not configured");
            return Ok(());
        };
        let Some(due) = self.store.load(key).await? else {
            return Ok(());
        };
        if self.schedule().is_too_old(due.armed_at(), now) {
            let give_up = |current: &Transaction| current.give_up(self.now(), self.schedule());
            self.update(due, give_up).await?;
            return Ok(());
        }
        let said = match upstream.client.check(&due).await {
            Ok(statement) => Some(statement),
            Err(nothing) => {
                debug!(%key, %nothing, "a status check brought nothing");
                None
            }
        };
        let observe = |current: &Transaction| {
            Some(current.observe_check(said.clone(), self.now(), self.schedule()))
        };
        self.update(due, observe).await?;
        Ok(())
    }
}
