//! What a sold inquiry forbids: purchases of the same product for the same account number.
//!
//! SUBTLE: the answer to an inquiry may arrive at any point of a purchase. 1. The purchase reads
//! no sale; 2. the sale is stored; 3. the purchase is claimed and sent. So a purchase reads the
//! sales again after its claim, and once more where it waited for a slot. A sale counts in this
//! process from its answer on, however long the store is away.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Engine, bill::Ordered, bill_guard::Listed, purchase::PurchaseError};
use crate::{
    okebayar::phone_number::mobile,
    store::{
        StoreError,
        sold::{self, Sold},
    },
    transaction::{AccountNumber, Contents, Intent, ProductCode, State, TransactionKey},
};

/// The sales that this process has seen and not stored yet, by a number of their own.
#[derive(Clone, Default)]
pub(super) struct Sales(Arc<Mutex<(u64, BTreeMap<u64, Unstored>)>>);

struct Unstored {
    sold: Sold,
    reference_code: String,
}

/// Names what is sold or bought. Callers write one mobile number in several forms, and other
/// numbers with and without separators.
pub(super) fn sold(product_code: &ProductCode, account_number: &AccountNumber) -> Sold {
    let text = account_number.as_str();
    let recipient =
        mobile(text).unwrap_or_else(|| text.chars().filter(|c| c.is_alphanumeric()).collect());
    Sold::new(product_code, &recipient)
}

/// A sale that is being stored; purchases are free of it when this is dropped.
pub(super) struct Keeping {
    sales: Sales,
    number: u64,
}

impl Sales {
    /// Begins to store a sale.
    pub(super) fn begin(&self, sold: Sold, reference_code: &str) -> Keeping {
        let mut sales = self.lock();
        sales.0 += 1;
        let number = sales.0;
        let unstored = Unstored {
            sold,
            reference_code: reference_code.to_owned(),
        };
        sales.1.insert(number, unstored);
        Keeping {
            sales: self.clone(),
            number,
        }
    }

    fn find(&self, sold: &Sold) -> Option<String> {
        let sales = self.lock();
        let found = sales.1.values().find(|sale| sale.sold == *sold);
        found.map(|sale| sale.reference_code.clone())
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Unstored>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.sales.lock().1.remove(&self.number);
    }
}

impl Engine {
    /// Refuses a purchase of what an inquiry may have bought already, until an operator has
    /// settled that. A purchase that has begun is returned as it is.
    ///
    /// # Errors
    /// [`PurchaseError::SoldByInquiry`], or that the store cannot be read.
    pub(super) async fn verify_not_sold(
        &self,
        intent: &Intent,
    ) -> Result<Option<Ordered>, PurchaseError> {
        let not_claimed = PurchaseError::NotClaimed;
        let Some(reference_code) = self
            .sale_of(&intent.contents, &intent.key())
            .await
            .map_err(not_claimed)?
        else {
            return Ok(None);
        };
        let stored = self.store.load(&intent.key()).await;
        if let Some(stored) = stored.map_err(not_claimed)? {
            self.verify_same(&stored, intent).await?;
            if !matches!(stored.standing().state, State::NotSent(_)) {
                return Ok(Some(Ordered::Taken(stored)));
            }
        }
        Err(PurchaseError::SoldByInquiry { reference_code })
    }

    /// Returns the reference code of an open sale of what a prepaid purchase buys, other than
    /// the purchase's own record.
    pub(super) async fn sale_of(
        &self,
        contents: &Contents,
        key: &TransactionKey,
    ) -> Result<Option<String>, StoreError> {
        let Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } = contents
        else {
            return Ok(None);
        };
        let bought = sold(product_code, account_number);
        // Before the store is read: a sale that is stored in between is found there.
        if let Some(reference_code) = self.sales.find(&bought) {
            return Ok(Some(reference_code));
        }
        let noted = sold::noted(&*self.store, &bought).await?;
        // Its own record is found by the claim.
        let others = noted.keys().iter().filter(|sale| *sale != key);
        let others: Vec<TransactionKey> = others.cloned().collect();
        let sales = self.listed(&others).await?;
        let open = sales.iter().find(|sale| sale.is_open());
        Ok(open.map(Listed::reference_code))
    }

    /// Notes the transaction that stands for a sale. In a long note the settled ones make room.
    pub(super) async fn note_sold(
        &self,
        sold: &Sold,
        key: &TransactionKey,
    ) -> Result<(), StoreError> {
        let store = &*self.store;
        loop {
            let noted = sold::noted(store, sold).await?;
            if noted.keys().contains(key) {
                return Ok(());
            }
            let listed = if noted.is_full() {
                self.listed(noted.keys()).await?
            } else {
                Vec::new()
            };
            let settled = listed.into_iter().filter(|sale| !sale.is_open());
            let settled: Vec<TransactionKey> = settled.map(|sale| sale.key).collect();
            if sold::note(store, sold, &noted, key, &settled, self.now()).await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_number_are_one_sale_and_other_numbers_are_not() {
        let product = ProductCode::parse("PLN20").unwrap();
        let of = |text: &str| sold(&product, &AccountNumber::parse(text).unwrap());
        assert_eq!(of("081234567890"), of("+62812-3456-7890"));
        assert_eq!(of("123456789012"), of("12-3456.789012"));
        assert_eq!(of("Player@One"), of("player.one"));
        assert_ne!(of("123456789012"), of("0123456789012"));
        let other = ProductCode::parse("PLN50").unwrap();
        let number = AccountNumber::parse("081234567890").unwrap();
        assert_ne!(sold(&product, &number), sold(&other, &number));
    }
}
