//! The last price that OKEBAYAR deducted for a product, by account: what `max_price` is compared
//! with.
//!
//! The prices are best effort: a price that is not stored counts as unknown, or an earlier one is
//! returned. They are kept in the store, because another replica may have made the last purchase.
//!
//! A process remembers each price note as it was last stored or read here. So it compares and sets
//! the note without reading it first, and stores a price again only after [`STORED_AGAIN_AFTER`]:
//! many purchases of one product have the same price.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::debug;

use super::{price_notes::SeenNote, records::Ledger};
use crate::{
    store::{CasResult, Expiry, StoreError},
    transaction::{AccountName, Amount, ProductCode, State, Transaction},
};

/// The age beyond which a price counts as unknown.
const PRICE_AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// The time by which the clock of another gateway may be ahead.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The maximum number of attempts to store a price.
const STORE_TRIES_MAX: u32 = 4;

/// The time within which a price that the store is known to hold is not stored again.
const STORED_AGAIN_AFTER: Duration = Duration::from_secs(1);

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
        let now = (self.ambient.now)();
        let mut last: Option<SeenPrice> = None;
        // A replica of another configuration may have stored it under a former name.
        for name in self.accounts.names_of(Some(account)) {
            let note = self.store.note(&price_note_name(name, product)).await?;
            let seen = note.as_deref().and_then(|text| parse_price(text, now));
            last = later(last, seen);
        }
        let is_fresh = |seen: &SeenPrice| now.duration_since(seen.at) <= PRICE_AGE_MAX;
        Ok(last.filter(is_fresh).map(|seen| seen.price))
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
        let mut held = self.price_notes.get(name);
        for _ in 0..STORE_TRIES_MAX {
            if held.as_ref().is_some_and(|held| covers(held, seen, now)) {
                return Ok(());
            }
            let from = held.as_ref().map(|held| held.text.as_str());
            let expiry = Expiry { now, until };
            let began = Instant::now();
            let put = self.store.put_note(name, from, &to, expiry).await;
            let text = match put {
                Ok(CasResult::Done) => Some(to.clone()),
                Ok(CasResult::Conflict(ref stored)) => stored.clone(),
                Err(_) => None,
            };
            self.price_notes.set(name, text, began);
            if put? == CasResult::Done {
                return Ok(());
            }
            held = self.price_notes.get(name);
        }
        Ok(())
    }
}

/// Returns true when a price need not be stored: the store holds that of a later purchase, or has
/// held the same one a moment ago.
fn covers(held: &SeenNote, seen: SeenPrice, now: Timestamp) -> bool {
    let is_fresh = held.at.elapsed() < STORED_AGAIN_AFTER;
    let known = parse_price(&held.text, now);
    known.is_some_and(|known| known.at > seen.at || is_fresh && known.price == seen.price)
}

/// Returns the later one of two prices.
fn later(one: Option<SeenPrice>, other: Option<SeenPrice>) -> Option<SeenPrice> {
    match (one, other) {
        (Some(one), Some(other)) if other.at > one.at => Some(other),
        (one, other) => one.or(other),
    }
}

/// Returns the price of a success, if it is above zero: OKEBAYAR may leave it out.
fn price_of(transaction: &Transaction) -> Option<Amount> {
    match transaction.status().state {
        State::Succeeded { receipt, .. } => receipt.price.filter(|price| *price > Amount::ZERO),
        _ => None,
    }
}

/// Parses a stored price. One that cannot be read, or comes from a clock that is far ahead, counts as
/// unknown: otherwise no later price would replace it.
fn parse_price(text: &str, now: Timestamp) -> Option<SeenPrice> {
    let seen: SeenPrice = serde_json::from_str(text).ok()?;
    (seen.at.duration_since(now) <= AHEAD_MAX).then_some(seen)
}

/// Returns the name of a price's note. OKEBAYAR may ignore the case of product codes.
fn price_note_name(account: &AccountName, product: &ProductCode) -> String {
    format!("price:{account}:{}", product.as_str().to_ascii_lowercase())
}
