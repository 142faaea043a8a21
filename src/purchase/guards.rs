//! The guards of a request, `expire_time` and `max_price`: verified against the clock, the stored
//! transaction and the last price.
//!
//! They are verified right before an attempt is armed, and only for one that would be sent: a
//! quarantined attempt sends nothing, and a replay is never compared with them (promise 5).

use super::{error::PurchaseError, purchases::Purchases};
use crate::transaction::{AccountName, Amount, Intent, NotSent, ProductCode, State, Transaction};

impl Purchases {
    /// Returns true when the caller's `expire_time` has passed.
    pub(super) fn is_expired(&self, intent: &Intent) -> bool {
        let expire_at = intent.guards.expire_at;
        expire_at.is_some_and(|expire_at| (self.ambient.now)() >= expire_at)
    }

    /// Builds the refusal of an expired request of which nothing was sent. Until every clock is past
    /// the `expire_time`, another gateway may still send the request, so the caller must not purchase
    /// under another reference code yet.
    pub(super) fn expired(&self, intent: &Intent) -> PurchaseError {
        let now = (self.ambient.now)();
        let skew = self.failover.clock_skew();
        let is_everywhere = intent
            .guards
            .expire_at
            .is_none_or(|expire_at| now.duration_since(expire_at) > skew);
        PurchaseError::Expired { is_everywhere }
    }

    /// Verifies the guards of an attempt that `account` would pay. `before` is the NOT_SENT
    /// transaction of its reference code.
    ///
    /// # Errors
    /// [`PurchaseError::Expired`], [`PurchaseError::PriceTooHigh`],
    /// [`PurchaseError::PriceUnknown`]; [`PurchaseError::NotClaimed`] when the store cannot be
    /// read.
    pub(super) async fn verify_guards(
        &self,
        intent: &Intent,
        account: &AccountName,
        product: &ProductCode,
        before: Option<&Transaction>,
    ) -> Result<(), PurchaseError> {
        if self.is_expired(intent) || before.is_some_and(|before| !outlives(intent, before)) {
            return Err(self.expired(intent));
        }
        for max_price in [
            intent.guards.max_price,
            before.and_then(Transaction::max_price),
        ] {
            self.verify_price(max_price, account, product).await?;
        }
        Ok(())
    }

    /// Refuses a purchase whose product costs more than the caller accepts, by the last price that
    /// the gateway saw. An unknown price is accepted, unless the account refuses it.
    async fn verify_price(
        &self,
        max_price: Option<Amount>,
        account: &AccountName,
        product: &ProductCode,
    ) -> Result<(), PurchaseError> {
        let Some(max_price) = max_price else {
            return Ok(());
        };
        let price = self.ledger.last_price(account, product).await;
        let upstream = self.upstreams.get(account);
        match price.map_err(PurchaseError::NotClaimed)? {
            Some(price) if price > max_price => {
                Err(PurchaseError::PriceTooHigh { price, max_price })
            }
            None if upstream.is_some_and(|upstream| upstream.unknown_price_refused) => {
                Err(PurchaseError::PriceUnknown)
            }
            _ => Ok(()),
        }
    }
}

/// Returns true when a call may arm a NOT_SENT transaction again with regard to time. One that
/// expired is armed only by a call with a later `expire_time`: its caller may have purchased under
/// another reference code since, and a repeated call, which only reads, must not send it.
fn outlives(intent: &Intent, before: &Transaction) -> bool {
    match before.status().state {
        State::NotSent(NotSent::Expired) => intent.guards.expire_at > before.expire_at(),
        _ => true,
    }
}
