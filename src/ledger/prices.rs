//! The last price that OKEBAYAR deducted for a product, by account: what `max_price` is compared
//! with.
//!
//! The prices are best effort: a price that is not stored counts as unknown, or an earlier one is
//! returned. They are kept in the store, because another replica may have made the last purchase.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::records::Ledger;
use crate::{
    store::{CasResult, Expiry, Store, StoreError},
    transaction::{AccountName, Amount, ProductCode, State, Transaction},
};

/// The age beyond which a price counts as unknown.
const PRICE_AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The most replacements of a note by other processes until a price is dropped.
const STORE_TRIES_MAX: u32 = 4;

/// A price, and the time of the purchase that it was deducted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenPrice {
    price: Amount,
    at: Timestamp,
}

impl Ledger {
    /// Returns the last price of a product that is not older than 24 hours; `None` if there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn last_price(
        &self,
        account: &AccountName,
        product: &ProductCode,
    ) -> Result<Option<Amount>, StoreError> {
        let name = price_note_name(self.accounts.present_name(account), product);
        let seen = read_price(&*self.store, &name).await?;
        let now = (self.ambient.now)();
        let is_fresh = |seen: &SeenPrice| now.duration_since(seen.at) <= PRICE_AGE_MAX;
        Ok(seen.filter(is_fresh).map(|seen| seen.price))
    }

    /// Stores the price of a transaction that has just succeeded, unless a later purchase had
    /// another one. It is stored before the success is announced, so that the next call of the same
    /// caller is compared with it.
    pub(super) async fn remember_price(&self, before: &Transaction, after: &Transaction) {
        let Some(price) = price_of(after).filter(|_| price_of(before).is_none()) else {
            return;
        };
        let seen = SeenPrice {
            price,
            at: after.armed_at(),
        };
        let (account, product) = (after.account(), &after.order().product_code);
        let name = price_note_name(self.accounts.present_name(account), product);
        if let Err(problem) = self.store_price(&name, seen).await {
            debug!(%account, %product, %problem, "price not stored");
        }
    }

    async fn store_price(&self, name: &str, seen: SeenPrice) -> Result<(), StoreError> {
        let now = (self.ambient.now)();
        let until = seen.at.checked_add(PRICE_AGE_MAX).unwrap_or(seen.at);
        if until <= now {
            return Ok(());
        }
        let to = serde_json::to_string(&seen).unwrap_or_default();
        let mut from = self.store.note(name).await?;
        for _ in 0..STORE_TRIES_MAX {
            let is_later = from
                .as_deref()
                .and_then(parse_price)
                .is_some_and(|known| known.at > seen.at);
            if is_later {
                return Ok(());
            }
            let expiry = Expiry { now, until };
            match self
                .store
                .put_note(name, from.as_deref(), &to, expiry)
                .await?
            {
                CasResult::Done => return Ok(()),
                CasResult::Conflict(stored) => from = stored,
            }
        }
        Ok(())
    }
}

/// Returns the price of a success, if it is above zero: OKEBAYAR may leave it out.
fn price_of(transaction: &Transaction) -> Option<Amount> {
    match transaction.status().state {
        State::Succeeded { receipt, .. } => receipt.price.filter(|price| *price > Amount::ZERO),
        _ => None,
    }
}

async fn read_price(store: &dyn Store, name: &str) -> Result<Option<SeenPrice>, StoreError> {
    Ok(store.note(name).await?.as_deref().and_then(parse_price))
}

/// Parses a stored price. One that cannot be read counts as unknown.
fn parse_price(text: &str) -> Option<SeenPrice> {
    serde_json::from_str(text).ok()
}

fn price_note_name(account: &AccountName, product: &ProductCode) -> String {
    format!("price:{account}:{product}")
}
