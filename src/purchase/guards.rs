//! The guards of a request, `expire_time` and `max_price`: verified against the clock, the stored
//! transaction and the last price.
//!
//! They are verified right before an attempt is armed, and only for one that would be sent: a
//! quarantined attempt sends nothing, and a replay is never compared with them (promise 5).

use super::{error::PurchaseError, order::LastPrice, purchases::Purchases};
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

    /// Reads the last price of a product for a request that limits it; `None` for any other, and
    /// when the store cannot be read: then [`Self::verify_guards`] reads it.
    pub(super) async fn read_price(
        &self,
        intent: &Intent,
        product: &ProductCode,
    ) -> Option<LastPrice> {
        intent.guards.max_price?;
        let read = self.ledger.last_price(&intent.account, product).await;
        read.ok()
    }

    /// Verifies the guards of an attempt that `account` would pay. `before` is the NOT_SENT
    /// transaction of its reference code, and `last_price` the price if it was just read.
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
        last_price: Option<LastPrice>,
    ) -> Result<(), PurchaseError> {
        if self.is_expired(intent) || before.is_some_and(|before| !outlives(intent, before)) {
            return Err(self.expired(intent));
        }
        let before = before.and_then(Transaction::max_price);
        let limits = [intent.guards.max_price, before];
        if limits.iter().all(Option::is_none) {
            return Ok(());
        }
        let last_price = if let Some(known) = last_price {
            known
        } else {
            let read = self.ledger.last_price(account, product).await;
            read.map_err(PurchaseError::NotClaimed)?
        };
        for max_price in limits.into_iter().flatten() {
            self.verify_price(last_price, max_price, account)?;
        }
        Ok(())
    }

    /// Refuses a purchase whose product costs more than the caller accepts, by the last price that
    /// the gateway saw. An unknown price is accepted, unless the account refuses it.
    fn verify_price(
        &self,
        last_price: LastPrice,
        max_price: Amount,
        account: &AccountName,
    ) -> Result<(), PurchaseError> {
        let upstream = self.upstreams.get(account);
        match last_price {
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
