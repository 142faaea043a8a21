//! Status checks on a caller's request.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::checks::Checks;
use crate::{
    ledger::{Waited, leave_before},
    store::StoreError,
    transaction::{Transaction, TransactionRef},
};

/// The time that a caller waits for a check beyond the upstream time-out.
const CHECK_NOW_EXTRA: Duration = Duration::from_secs(10);

/// The reason why a caller does not receive the result of a check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Too many callers wait for an outcome.
    #[error("too many callers wait for an outcome")]
    TooManyWaiting,
    /// The store no longer holds the transaction.
    #[error("the store has lost the transaction")]
    Lost,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction after a check on a caller's request.
#[derive(Debug)]
pub struct CheckedTransaction {
    /// The transaction after the check.
    pub transaction: Arc<Transaction>,
    /// OKEBAYAR was called meanwhile.
    pub was_asked: bool,
}

impl Checks {
    /// Makes a status check of a transaction due now, and waits for its result. Concurrent callers
    /// share one check, which keeps the same distance from the last check as that of a callback.
    /// `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`CheckError`] when the store does not answer, or too many callers wait.
    pub async fn check_now(
        &self,
        named: &TransactionRef,
        caller_deadline: Option<Instant>,
    ) -> Result<Option<CheckedTransaction>, CheckError> {
        let _waiter = self
            .ledger
            .admit_waiter()
            .ok_or(CheckError::TooManyWaiting)?;
        let mut updates = self.ledger.subscribe(&named.key);
        let Some(current) = self.ledger.find(named).await? else {
            return Ok(None);
        };
        let upstream = self.upstreams.get(current.account());
        let (true, Some(upstream)) = (
            current.may_be_checked((self.ambient.now)(), &self.schedule),
            upstream,
        ) else {
            return Ok(Some(CheckedTransaction {
                transaction: current,
                was_asked: false,
            }));
        };
        let last = current.last_checked_at();
        let ask = |current: &Transaction| {
            let is_newer = current.last_checked_at() > last;
            // Another attempt may have been armed since the transaction was read.
            let may_be_checked = current.may_be_checked((self.ambient.now)(), &self.schedule);
            if is_newer || !may_be_checked {
                None
            } else {
                current.request_check((self.ambient.now)(), &self.schedule)
            }
        };
        let asked = self.ledger.update(current, ask).await?;
        let is_checked = asked.last_checked_at() > last;
        if !is_checked && !asked.may_be_checked((self.ambient.now)(), &self.schedule) {
            return Ok(Some(CheckedTransaction {
                transaction: asked,
                was_asked: false,
            }));
        }
        let deadline = caller_deadline.map_or_else(
            || Instant::now() + upstream.timeout + CHECK_NOW_EXTRA,
            leave_before,
        );
        let is_over = |newest: &Transaction, stopping| stopping || newest.last_checked_at() > last;
        let waited = self
            .ledger
            .wait_until(&mut updates, asked, deadline, is_over, false)
            .await?;
        let transaction = match waited {
            Waited::Known(transaction) | Waited::RolledBack(Some(transaction)) => transaction,
            Waited::RolledBack(None) => return Err(CheckError::Lost),
        };
        let was_asked = transaction.last_checked_at() > last;
        Ok(Some(CheckedTransaction {
            transaction,
            was_asked,
        }))
    }
}
