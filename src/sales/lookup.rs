//! The open sales of a product and recipient, which a purchase must not repeat.
//!
//! SUBTLE: the answer to an inquiry may arrive at any point of a purchase.
//! 1. The purchase reads the sales, and finds none.
//! 2. The sale is stored.
//! 3. The purchase is claimed and sent.
//!
//! So a purchase reads the sales again after its claim, in the same round trip where the store
//! allows it, and once more after waiting for a slot. In this process a sale counts from its answer on, even while the store is unavailable.

use jiff::Timestamp;

use super::{
    note::{self, Sold},
    sales::Sales,
    unstored::UnstoredSale,
};
use crate::{
    failover::ListedTransaction,
    store::{KeyList, NoteTexts, StoreError},
    transaction::{AccountNumber, Contents, ProductCode, Transaction, TransactionKey},
};

/// A look-up of sales from before a claim, whose note is read together with the claim.
pub struct SaleLookup {
    note: String,
    /// The number of sales that this process had registered.
    begun: u64,
    /// A sale of the product and recipient was registered and not stored yet.
    was_found: bool,
}

impl SaleLookup {
    /// Returns the name of the note to read.
    #[must_use]
    pub fn note_name(&self) -> &str {
        &self.note
    }
}

/// Returns what a prepaid purchase buys.
fn bought_by(contents: &Contents) -> Option<Sold> {
    match contents {
        Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } => Some(note::sold(product_code, account_number)),
        Contents::PayPostpaid { .. } => None,
    }
}

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
        let Some(bought) = bought_by(contents) else {
            return Ok(None);
        };
        // Read before the store, so that a sale that is stored in between is found there.
        if let Some(reference_code) = self.unstored.find(&bought) {
            return Ok(Some(reference_code));
        }
        let noted = note::noted(&*self.store, &bought).await?;
        self.open_sale_among(&noted, key).await
    }

    /// Begins a look-up whose note is read together with the claim of a prepaid purchase; `None`
    /// for any other transaction.
    #[must_use]
    pub fn begin_lookup(&self, contents: &Contents) -> Option<SaleLookup> {
        let bought = bought_by(contents)?;
        Some(SaleLookup {
            begun: self.unstored.begun(),
            note: bought.note_name().to_owned(),
            was_found: self.unstored.find(&bought).is_some(),
        })
    }

    /// Returns the same as [`Self::open_sale_of`] after a claim, from the note that was read after
    /// it; reads the note where that does not suffice.
    ///
    /// SUBTLE: a sale of this process may end between two reads:
    /// 1. the note is read after the claim, without the sale;
    /// 2. the sale is stored, and is no longer registered here;
    /// 3. the reply to the claim arrives, and no sale is registered.
    ///
    /// So the sales are also compared with those from before the claim. If none was registered then
    /// or since, every earlier sale was stored before the claim, and the note has it.
    pub async fn open_sale_since(
        &self,
        lookup: &SaleLookup,
        read: Option<NoteTexts>,
        contents: &Contents,
        key: &TransactionKey,
    ) -> Result<Option<String>, StoreError> {
        match read.and_then(|texts| texts.into_iter().next()) {
            Some(text) if !lookup.was_found && lookup.begun == self.unstored.begun() => {
                self.open_sale_among(&KeyList::parse(text)?, key).await
            }
            _ => self.open_sale_of(contents, key).await,
        }
    }

    /// Returns the reference code of the first open sale in a note, except the purchase's own record.
    async fn open_sale_among(
        &self,
        noted: &KeyList,
        key: &TransactionKey,
    ) -> Result<Option<String>, StoreError> {
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
    pub async fn renew(&self, about: &Transaction, now: Timestamp) -> Result<(), StoreError> {
        let Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } = about.contents()
        else {
            return Ok(());
        };
        let sold = note::sold(product_code, account_number);
        note::renew(&*self.store, &sold, &about.key(), now).await
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
