//! The verification between claim and POST: the conditions of the admission may have changed since.

use std::time::Duration;

use super::{
    bill::{Obstacle, full_bill},
    error::PurchaseError,
    order::NewOrder,
    purchases::Purchases,
};
use crate::{
    inquiries::binding,
    sales::SaleLookup,
    store::{NoteTexts, StoreError},
    transaction::{Intent, Transaction},
};

/// The most reads in which a payment waits for another one to be abandoned.
const BILL_READS_MAX: u32 = 40;
/// The time between two of these reads.
const BILL_READ_INTERVAL: Duration = Duration::from_millis(25);

/// A look-up of sales from before a claim, and its note as it is after the claim, if it was read
/// together with it.
pub(super) type ReadLookup = (SaleLookup, Option<NoteTexts>);

impl Purchases {
    /// Verifies the conditions of a claim, after the claim and before the POST: the inquiry is
    /// still bound to the transaction, the transaction is listed under its bill, no other
    /// transaction pays that bill, and no inquiry has sold the same.
    pub(super) async fn verify_claimed(
        &self,
        claimed: &Transaction,
        new_order: &NewOrder,
        intent: &Intent,
        lookup: Option<ReadLookup>,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        let (key, contents) = (claimed.key(), claimed.contents());
        if let Some((lookup, read)) = lookup {
            let sold = self.sales.open_sale_since(&lookup, read, contents, &key);
            if let Some(reference_code) = sold.await? {
                return Ok(Err(PurchaseError::SoldByInquiry { reference_code }));
            }
        }
        if let Some(note) = &new_order.binding {
            let holder = binding::load_holder(&*self.store, note).await?;
            if holder.as_ref() != Some(&key) {
                return Ok(Err(self.already_used(holder).await?));
            }
        }
        let order = claimed.order();
        if let Err(full) = self.inquiries.secure_place(order, &key).await? {
            return Ok(Err(full_bill(&full)));
        }
        for read in 1.. {
            match self.bill_obstacle(order, intent).await? {
                None => break,
                // Of two payments that see each other, only the one with the greater key is
                // abandoned at once. The other one waits for that.
                Some(Obstacle::Open(other, _)) if key < other && read < BILL_READS_MAX => {
                    tokio::time::sleep(BILL_READ_INTERVAL).await;
                }
                Some(Obstacle::Open(_, error) | Obstacle::Lasting(error)) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}
