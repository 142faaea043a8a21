//! One purchase or payment, from the call to its answer.

use std::{sync::Arc, time::Duration};

use super::{admission::Admission, error::PurchaseError, purchases::Purchases};
use crate::{
    ledger::{Subscription, Wait, Waited},
    transaction::{Intent, State, Transaction},
};

/// A purchase as its caller sees it.
#[derive(Debug)]
pub struct Purchase {
    /// The durable record.
    pub transaction: Arc<Transaction>,
    /// Another call bought it, or is buying it.
    pub replayed: bool,
}

impl Purchases {
    /// Buys, at most once, and waits as `wait` says.
    ///
    /// # Errors
    /// [`PurchaseError`]; a declined purchase is not an error.
    pub async fn purchase(
        self: &Arc<Self>,
        intent: Intent,
        wait: Wait,
    ) -> Result<Purchase, PurchaseError> {
        // A caller that cannot wait may still learn of an earlier call.
        let waiter = self.ledger.admit_waiter();
        let mut updates = self.ledger.subscribe(&intent.key());
        let admission = self.admit(intent, waiter.is_some());
        let admitted = match wait.deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline, admission)
                .await
                .map_err(|_| PurchaseError::OutOfTime)??,
            None => admission.await?,
        };
        let (transaction, replayed) = match admitted {
            Admission::Ours(transaction) => (transaction, false),
            Admission::Theirs(transaction) => (transaction, true),
        };
        let transaction = if waiter.is_some() {
            let is_ours = !replayed;
            self.wait(&mut updates, transaction, wait, is_ours).await?
        } else {
            transaction
        };
        match transaction.standing().state {
            State::NotSent(why) => Err(PurchaseError::NothingSent(why)),
            _ => Ok(Purchase {
                transaction,
                replayed,
            }),
        }
    }

    /// Waits for the transaction; returns it as known when the time is up. `is_ours`
    /// when this call claimed it.
    pub(super) async fn wait(
        &self,
        updates: &mut Subscription,
        newest: Arc<Transaction>,
        wait: Wait,
        is_ours: bool,
    ) -> Result<Arc<Transaction>, PurchaseError> {
        let upstream = self.upstreams.get(newest.account());
        let timeout = upstream.map_or(Duration::ZERO, |upstream| upstream.timeout);
        let deadline = wait.ends_at(timeout);
        let is_over = |newest: &Transaction, stopping| wait.is_over(newest, stopping);
        let waited = self
            .ledger
            .wait_until(updates, newest, deadline, is_over, is_ours)
            .await;
        match waited {
            Ok(Waited::Known(transaction)) => Ok(transaction),
            Ok(Waited::RolledBack(_)) => Err(PurchaseError::OutcomeUnreadable(
                "the store has lost what it held of the transaction".to_owned(),
            )),
            Err(error) => Err(PurchaseError::OutcomeUnreadable(error.to_string())),
        }
    }
}
