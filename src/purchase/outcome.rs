//! The outcome of a POST: stored, and retried while the store is unavailable.

use std::sync::Arc;

use backon::BackoffBuilder;
use tracing::{error, warn};

use super::{
    purchases::Purchases,
    unfinished::{Reservation, STORE_BACKOFF, STORE_RETRY_DELAY_MAX, WaitingOutcome},
};
use crate::{
    store::StoreError,
    transaction::{Finding, Source, Statement, Transaction},
};

impl Purchases {
    /// Stores the outcome of the POST, and retries without limit while the store is unavailable:
    /// the caller waits for it. If this process dies first, status checks settle the transaction.
    pub(super) async fn store_outcome(
        &self,
        claimed: Arc<Transaction>,
        statement: Statement,
        reservation: Reservation,
    ) {
        let key = claimed.key();
        let mut waiting = None;
        let mut backoff = STORE_BACKOFF.build();
        loop {
            match self.try_store_outcome(&claimed, &statement).await {
                Ok(()) => break,
                Err(problem) if problem.is_transient() => {
                    waiting.get_or_insert_with(|| WaitingOutcome::begin(&self.unfinished, &key));
                    warn!(%key, %problem, "outcome not stored; retrying");
                    tokio::time::sleep(backoff.next().unwrap_or(STORE_RETRY_DELAY_MAX)).await;
                }
                Err(problem) => {
                    error!(%key, %problem, "outcome not stored; status checks settle it");
                    break;
                }
            }
        }
        drop((waiting, reservation));
    }

    /// Stores the outcome of the POST once.
    async fn try_store_outcome(
        &self,
        claimed: &Arc<Transaction>,
        statement: &Statement,
    ) -> Result<(), StoreError> {
        let weighed = self
            .inquiries
            .review_already_paid(claimed, statement.clone())
            .await?;
        let observe = |current: &Transaction| {
            // That one attempt sent nothing proves nothing about another one.
            let is_unsent = matches!(weighed.finding, Finding::NotSent { .. });
            let is_other = current.token() != claimed.token();
            if is_unsent && is_other {
                return None;
            }
            // The store lost the record, and holds another order under its reference code.
            let is_for_another = is_other && !current.is_same_order(claimed);
            if is_for_another {
                error!(
                    key = %claimed.key(),
                    "outcome of another order than the stored one; an operator must settle the \
                     transaction"
                );
            }
            let review =
                is_for_another.then(|| Statement::bare(Source::Gateway, Finding::ChecksExhausted));
            let said = std::iter::once(weighed.clone()).chain(review);
            current.observe(said, (self.ambient.now)(), &self.settings.schedule)
        };
        self.ledger
            .update(Arc::clone(claimed), observe)
            .await
            .map(drop)
    }
}
