//! A purchase or payment, from the call to its response.

use std::{sync::Arc, time::Duration};

use super::{admission::Admission, error::PurchaseError, purchases::Purchases};
use crate::{
    ledger::{Subscription, Wait, Waited},
    store::StoreError,
    transaction::{Intent, State, Transaction},
};

/// The result of a purchase call.
#[derive(Debug)]
pub struct Purchase {
    /// The durable record.
    pub transaction: Arc<Transaction>,
    /// Another call claimed the transaction.
    pub replayed: bool,
}

impl Purchases {
    /// Buys at most once per reference code, and waits for the result within `wait`.
    ///
    /// # Errors
    /// [`PurchaseError`]; a declined purchase is not an error.
    pub async fn purchase(
        self: &Arc<Self>,
        intent: Intent,
        wait: Wait,
    ) -> Result<Purchase, PurchaseError> {
        // A caller that cannot wait may still receive the transaction of an earlier call.
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
        match transaction.status().state {
            State::NotSent(why) => Err(PurchaseError::NothingSent(why)),
            _ => Ok(Purchase {
                transaction,
                replayed,
            }),
        }
    }

    /// Waits for the transaction; returns its last known version when the time is up. `is_ours`
    /// is true when this call claimed it.
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
                "the store has lost the transaction".to_owned(),
            )),
            Err(error @ StoreError::Retired(_)) => Err(PurchaseError::NotClaimed(error)),
            Err(error) => Err(PurchaseError::OutcomeUnreadable(error.to_string())),
        }
    }
}
