//! The failover guard at work: what it holds back, and who is told.

use std::sync::PoisonError;

use jiff::Timestamp;
use tracing::{info, warn};

use super::Engine;
use crate::{
    store::{
        StoreError,
        guard::{self, Guard},
    },
    transaction::{Intent, Order, ReferenceCode, State, Transaction, TransactionKey},
};

impl Engine {
    /// The store's history as last seen.
    pub(super) async fn guard(&self) -> Result<Guard, StoreError> {
        let seen = self.seen_guard();
        match seen {
            Some(guard) => Ok(guard),
            None => self.refresh_guard().await,
        }
    }

    /// Looks at the store's history, and tells when the guard has turned on or off.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be found out.
    pub async fn refresh_guard(&self) -> Result<Guard, StoreError> {
        let before = self.seen_guard();
        let now = self.now();
        let random = self.ambient.random;
        let guard = guard::observe(&*self.store, before.as_ref(), now, random).await?;
        let on = guard.on(&self.settings.guard, now);
        self.metrics().guard(on.is_some());
        match on {
            _ if before.as_ref() == Some(&guard) => {}
            Some((since, until)) => warn!(
                %since,
                %until,
                "the store may have lost records: reference codes that are unknown and not \
                 provably newer are held back; see the failover guard in docs/OPERATIONS.md"
            ),
            None if before.is_some() => info!("the failover guard is off"),
            None => {}
        }
        if before.is_some_and(|before| before != guard) {
            // What waiters know may be gone, and nothing else would wake them.
            self.hub.read_again();
        }
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard.clone());
        Ok(guard)
    }

    /// Returns true when a reference code may have been sent although the caller cannot be
    /// shown a transaction: another account's is stored under it, a claim of it has begun, or
    /// the store may have lost it and the code is not provably newer.
    pub async fn may_have_sent(&self, key: &TransactionKey) -> bool {
        let is_being_claimed = self.claims.contains(key);
        if is_being_claimed || !matches!(self.store.load(key).await, Ok(None)) {
            return true;
        }
        self.may_have_forgotten(key).await
    }

    /// Returns true when a reference code that the store does not hold may have been sent all
    /// the same: the store may have lost it, and the code is not provably newer.
    pub(super) async fn may_have_forgotten(&self, key: &TransactionKey) -> bool {
        match self.refresh_guard().await {
            Ok(guard) => self.may_be_lost(&guard, key),
            Err(_) => true,
        }
    }

    /// Returns true when the store, of which nothing is loaded under a reference code, may have
    /// lost its record.
    pub(super) fn may_be_lost(&self, guard: &Guard, key: &TransactionKey) -> bool {
        let reference = ReferenceCode::parse(key.as_str());
        let minted_at = reference.ok().and_then(|reference| reference.minted_at());
        guard.holds_back(minted_at, &self.settings.guard, self.now())
    }

    /// Returns true when nothing was sent under the reference code of a stored transaction: it is
    /// NOT_SENT, and the store has not forgotten a later attempt.
    pub(super) async fn is_unsent(&self, stored: &Transaction) -> bool {
        if !matches!(stored.status().state, State::NotSent(_)) {
            return false;
        }
        self.refresh_guard().await.is_ok_and(|guard| {
            !guard.holds_back(stored.not_sent_at(), &self.settings.guard, self.now())
        })
    }

    fn seen_guard(&self) -> Option<Guard> {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        guard.clone()
    }

    /// True when an attempt at this must not be sent now; `stored` is what the store
    /// holds under its reference code.
    pub(super) fn must_hold_back(
        &self,
        guard: &Guard,
        intent: &Intent,
        order: &Order,
        stored: Option<&Transaction>,
    ) -> bool {
        let unsent_at = match stored {
            Some(stored) => stored.not_sent_at(),
            None => unused_at(intent, order),
        };
        guard.holds_back(unsent_at, &self.settings.guard, self.now())
    }
}

/// A time at which the reference code provably was not used: when it was made, if it
/// tells. Its inquiry must be as young, or the store may have forgotten who holds that.
fn unused_at(intent: &Intent, order: &Order) -> Option<Timestamp> {
    let minted_at = intent.reference_code.minted_at()?;
    match &order.inquired {
        Some(inquired) => Some(minted_at.min(inquired.at?)),
        None => Some(minted_at),
    }
}
