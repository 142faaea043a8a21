//! The abandonment of claims that could not be confirmed: each becomes NOT_SENT by its token.

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

/// Claims that are given up at a time.
const ABANDONMENTS_MAX: usize = 16;

enum Abandoned {
    Done,
    Absent,
}

impl Purchases {
    /// Logs the purchases whose end is not stored: this process is about to forget it.
    /// The check schedule then settles them.
    pub fn log_unfinished(&self) {
        let entries = self.unfinished.entries();
        for Unconfirmed { key, .. } in entries.claims.values() {
            error!(%key, "a claim could not be given up: nothing was sent; the record may remain SENDING until status checks settle it");
        }
        for key in entries.outcomes.values() {
            error!(%key, "an outcome could not be stored: the purchase was sent, and status checks must settle it");
        }
    }

    /// Has a claim that will not be sent turned into NOT_SENT, until that is stored or
    /// it is certain that the claim is not. This process held the token: nobody
    /// else can know that nothing was sent.
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

    /// Gives up every claim there is, round after round, and ends when none is left.
    async fn abandon_claims(&self) {
        let mut backoff = STORE_BACKOFF.build();
        loop {
            let claims = self.unfinished.claims();
            if claims.is_empty() {
                return;
            }
            let count = claims.len();
            // One that fails holds up no other: part of a cluster may be away.
            futures::stream::iter(claims)
                .for_each_concurrent(ABANDONMENTS_MAX, |(number, key, token)| async move {
                    if self.retry_abandonment(number, &key, token).await {
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

    /// Tries to give a claim up; `true` when nothing is left to do.
    async fn retry_abandonment(
        &self,
        number: u64,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> bool {
        let is_absent = match self.try_abandon(key, token).await {
            Ok(Abandoned::Done) => return true,
            // A write whose reply was lost may still be on its way.
            Ok(Abandoned::Absent) => true,
            Err(StoreError::Unavailable(_)) => false,
            Err(problem) => {
                error!(%key, %problem, "a claim cannot be given up");
                return true;
            }
        };
        let after = self.settings.queue_timeout;
        self.unfinished.note_absence(number, is_absent, after)
    }

    async fn try_abandon(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<Abandoned, StoreError> {
        let Some(stored) = self.ledger.load(key).await? else {
            return Ok(Abandoned::Absent);
        };
        if stored.token() != token {
            // Armed by another call, so ours can no longer be stored; but over
            // NOT_SENT it still could.
            let is_free = matches!(stored.standing().state, State::NotSent(_));
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
