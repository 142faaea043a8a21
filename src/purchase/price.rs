//! The guard `max_price`: the last known price of the product must not exceed it.

use super::{error::PurchaseError, purchases::Purchases};
use crate::transaction::{AccountName, Amount, ProductCode};

impl Purchases {
    /// Refuses a purchase whose product costs more than the caller accepts, by the last price that
    /// the gateway saw. An unknown price is accepted, unless the account refuses it.
    ///
    /// # Errors
    /// [`PurchaseError::PriceTooHigh`]; [`PurchaseError::PriceUnknown`];
    /// [`PurchaseError::NotClaimed`] when the store cannot be read.
    pub(super) async fn verify_price(
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
