//! Status checks on a caller's request.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::checks::Checks;
use crate::{
    ledger::{Waited, leave_before},
    store::StoreError,
    transaction::{Named, Transaction},
};

/// What a caller that asks for a check allows beyond the upstream time-out.
const CHECK_NOW_EXTRA: Duration = Duration::from_secs(10);

/// The reason why a caller is not told what a check brought.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Too many callers wait at once.
    #[error("too many callers are waiting for an outcome")]
    TooManyWaiting,
    /// The store held the transaction, and no longer does.
    #[error("the store has lost the transaction")]
    Lost,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction after a check that a caller asked for.
#[derive(Debug)]
pub struct Checked {
    /// As it stands now.
    pub transaction: Arc<Transaction>,
    /// OKEBAYAR was asked meanwhile.
    pub was_asked: bool,
}

impl Checks {
    /// Has OKEBAYAR asked about a transaction now, and waits for that: one check for
    /// all who ask at the same time, and no sooner after another than a callback's.
    /// `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`CheckError`] when the store does not answer, or too many callers wait.
    pub async fn check_now(
        &self,
        named: &Named,
        caller_deadline: Option<Instant>,
    ) -> Result<Option<Checked>, CheckError> {
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
            return Ok(Some(Checked {
                transaction: current,
                was_asked: false,
            }));
        };
        let last = current.last_checked_at();
        let ask = |current: &Transaction| {
            let is_newer = current.last_checked_at() > last;
            // It may have been armed again since it was read.
            let may_be_checked = current.may_be_checked((self.ambient.now)(), &self.schedule);
            if is_newer || !may_be_checked {
                None
            } else {
                current.ask_check((self.ambient.now)(), &self.schedule)
            }
        };
        let asked = self.ledger.update(current, ask).await?;
        let is_checked = asked.last_checked_at() > last;
        if !is_checked && !asked.may_be_checked((self.ambient.now)(), &self.schedule) {
            return Ok(Some(Checked {
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
        Ok(Some(Checked {
            transaction,
            was_asked,
        }))
    }
}
