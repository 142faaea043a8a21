//! The abandonment of unconfirmed claims: each becomes NOT_SENT, identified by its attempt token.

use std::sync::Arc;

use backon::BackoffBuilder;
use futures::StreamExt;
use tracing::error;

use super::{
    purchases::Purchases,
    unfinished::{Reservation, STORE_BACKOFF, STORE_RETRY_DELAY_MAX, Unconfirmed},
};
use crate::{
    store::StoreError,
    transaction::{
        AttemptToken, Finding, NotSent, Source, State, Statement, Transaction, TransactionKey,
    },
};

/// The number of claims that are abandoned concurrently.
const ABANDONMENTS_MAX: usize = 16;

/// The result of one try to abandon a claim.
enum Abandoned {
    /// The claim is NOT_SENT, or can no longer be stored.
    Done,
    /// The store does not hold the claim, which may still be on its way.
    Absent,
}

impl Purchases {
    /// Logs the purchases whose outcome is not stored, before this process exits and loses it.
    /// Status checks settle them afterwards.
    pub fn log_unfinished(&self) {
        let entries = self.unfinished.entries();
        for Unconfirmed { key, .. } in entries.claims.values() {
            error!(%key, "unconfirmed claim not abandoned before exit: nothing was sent; the record may remain SENDING until status checks settle it");
        }
        for key in entries.outcomes.values() {
            error!(%key, "outcome not stored before exit: the purchase was sent, and status checks must settle it");
        }
    }

    /// Abandons a claim that will not be sent: a task retries until NOT_SENT is stored, or the
    /// claim provably is not stored. Only this process, which holds the token, knows that nothing
    /// was sent.
    pub(super) fn abandon(
        self: &Arc<Self>,
        key: TransactionKey,
        token: AttemptToken,
        reservation: Reservation,
    ) {
        let claim = Unconfirmed {
            key,
            token,
            absent_since: None,
            _reservation: reservation,
        };
        if self.unfinished.add(claim) {
            let purchases = Arc::clone(self);
            self.tasks
                .spawn(async move { purchases.abandon_claims().await });
        }
    }

    /// Abandons all unconfirmed claims, with backoff between rounds; returns when none is left.
    async fn abandon_claims(&self) {
        let mut backoff = STORE_BACKOFF.build();
        loop {
            let claims = self.unfinished.claims();
            if claims.is_empty() {
                return;
            }
            let count = claims.len();
            // Concurrently: an unavailable part of a cluster must not delay the claims of others.
            futures::stream::iter(claims)
                .for_each_concurrent(ABANDONMENTS_MAX, |(number, key, token)| async move {
                    if self.abandon_once(number, &key, token).await {
                        self.unfinished.entries().claims.remove(&number);
                    }
                })
                .await;
            if self.unfinished.entries().claims.len() < count {
                backoff = STORE_BACKOFF.build();
            }
            tokio::time::sleep(backoff.next().unwrap_or(STORE_RETRY_DELAY_MAX)).await;
        }
    }

    /// Tries once to abandon a claim; returns true when nothing is left to do.
    async fn abandon_once(&self, number: u64, key: &TransactionKey, token: AttemptToken) -> bool {
        let is_absent = match self.try_abandon(key, token).await {
            Ok(Abandoned::Done) => return true,
            // A write with an indeterminate result may still be on its way.
            Ok(Abandoned::Absent) => true,
            Err(problem) if problem.is_transient() => false,
            Err(problem) => {
                error!(%key, %problem, "claim not abandoned; status checks settle it");
                return true;
            }
        };
        let after = self.settings.queue_timeout;
        self.unfinished.note_absence(number, is_absent, after)
    }

    /// Stores NOT_SENT for a claim, if the store holds it.
    async fn try_abandon(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<Abandoned, StoreError> {
        let loaded = match self.ledger.load(key).await {
            // Nothing is stored under a retired reference code any more.
            Err(StoreError::Retired(_)) => return Ok(Abandoned::Done),
            loaded => loaded?,
        };
        let Some(stored) = loaded else {
            return Ok(Abandoned::Absent);
        };
        if stored.token() != token {
            // Another call has armed the transaction, so our claim can no longer be stored, except
            // over NOT_SENT.
            let is_free = matches!(stored.status().state, State::NotSent(_));
            return Ok(if is_free {
                Abandoned::Absent
            } else {
                Abandoned::Done
            });
        }
        let abandon = |current: &Transaction| {
            if current.token() != token {
                return None;
            }
            let finding = Finding::NotSent {
                attempt: current.attempt(),
                why: NotSent::ClaimLost,
            };
            let statement = Statement::bare(Source::Gateway, finding);
            current.observe([statement], (self.ambient.now)(), &self.settings.schedule)
        };
        self.ledger.update(stored, abandon).await?;
        Ok(Abandoned::Done)
    }
}
