//! The open sales of a product and recipient, which a purchase must not repeat.
//!
//! SUBTLE: the answer to an inquiry may arrive at any point of a purchase.
//! 1. The purchase reads the sales, and finds none.
//! 2. The sale is stored.
//! 3. The purchase is claimed and sent.
//!
//! So a purchase reads the sales again after its claim, and once more after waiting for a slot. In
//! this process a sale counts from its answer on, even while the store is unavailable.

use super::{
    note::{self, Sold},
    sales::Sales,
    unstored::UnstoredSale,
};
use crate::{
    failover::ListedTransaction,
    store::StoreError,
    transaction::{AccountNumber, Contents, ProductCode, Transaction, TransactionKey},
};

impl Sales {
    /// Registers a sale in this process. Purchases of the same product and recipient are refused
    /// until the returned value is dropped.
    #[must_use]
    pub fn begin(
        &self,
        product_code: &ProductCode,
        account_number: &AccountNumber,
        reference_code: &str,
    ) -> UnstoredSale {
        let sold = note::sold(product_code, account_number);
        self.unstored.begin(sold, reference_code)
    }

    /// Returns the reference code of an open sale of the product and recipient of a prepaid
    /// purchase, except the purchase's own record.
    pub async fn open_sale_of(
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
        let bought = note::sold(product_code, account_number);
        // Read before the store, so that a sale that is stored in between is found there.
        if let Some(reference_code) = self.unstored.find(&bought) {
            return Ok(Some(reference_code));
        }
        let noted = note::noted(&*self.store, &bought).await?;
        // The claim finds the own record of the purchase.
        let others = noted.keys().iter().filter(|sale| *sale != key);
        let others: Vec<TransactionKey> = others.cloned().collect();
        let sales = self.failover.load_listed(&others).await?;
        let open = sales.iter().find(|sale| sale.is_open());
        Ok(open.map(ListedTransaction::reference_code))
    }

    /// Renews the note of the sales of an open transaction's product and recipient, if the
    /// transaction stands for one of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn renew(&self, about: &Transaction) -> Result<(), StoreError> {
        let Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } = about.contents()
        else {
            return Ok(());
        };
        let sold = note::sold(product_code, account_number);
        note::renew(&*self.store, &sold, &about.key(), (self.ambient.now)()).await
    }

    /// Adds the transaction that stands for a sale to the note of its product and recipient.
    /// Removes settled transactions from a full note.
    pub(super) async fn note_sold(
        &self,
        sold: &Sold,
        key: &TransactionKey,
    ) -> Result<(), StoreError> {
        let store = &*self.store;
        loop {
            let noted = note::noted(store, sold).await?;
            if noted.keys().contains(key) {
                return Ok(());
            }
            let listed = if noted.is_full() {
                self.failover.load_listed(noted.keys()).await?
            } else {
                Vec::new()
            };
            let settled = listed.into_iter().filter(|sale| !sale.is_open());
            let settled: Vec<TransactionKey> = settled.map(|sale| sale.key).collect();
            if note::note(store, sold, &noted, key, &settled, (self.ambient.now)()).await? {
                return Ok(());
            }
        }
    }
}
