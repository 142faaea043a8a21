//! One bill, one payment at a time: what a bill's other transactions forbid.
//!
//! Two reference codes may pay one bill, each with an inquiry of its own, so the reference code
//! alone does not keep them apart (docs/decisions/0012-one-bill-one-payment.md).
//! Each payment is listed under its bill before its claim, and reads the others after it.
//!
//! SUBTLE: 1. A is listed; 2. B is listed; 3. A is claimed; 4. B is claimed; 5. each reads the
//! other's record. Whoever claims second reads after the first claim, so at least one of the two
//! sees the other open and gives up; nobody sends before its own reading.

use super::{error::PurchaseError, purchases::Purchases};
use crate::{
    failover::ListedTransaction,
    inquiries::bill_list::FullBill,
    store::StoreError,
    transaction::{Intent, Operation, Order, TransactionKey},
};

/// An obstacle to a payment.
pub(super) enum Obstacle {
    /// Another transaction for the bill is open.
    Open(TransactionKey, PurchaseError),
    /// Anything that does not go away.
    Lasting(PurchaseError),
}

impl Purchases {
    /// Refuses a payment whose bill another transaction may be paying, or has paid since the
    /// inquiry. Prepaid purchases after an inquiry may be made several at once.
    pub(super) async fn verify_bill(
        &self,
        order: &Order,
        intent: &Intent,
    ) -> Result<Result<(), PurchaseError>, StoreError> {
        Ok(match self.bill_obstacle(order, intent).await? {
            None => Ok(()),
            Some(Obstacle::Open(_, error) | Obstacle::Lasting(error)) => Err(error),
        })
    }

    /// Returns what forbids the payment of a bill, if anything does.
    pub(super) async fn bill_obstacle(
        &self,
        order: &Order,
        intent: &Intent,
    ) -> Result<Option<Obstacle>, StoreError> {
        let (Some(inquired), Some(_)) = (&order.inquired, order.bill()) else {
            return Ok(None);
        };
        let own = intent.key();
        let mut listed = self
            .inquiries
            .others_of_bill(&inquired.customer, &own)
            .await?;
        listed.retain(may_pay);
        for other in &listed {
            if other.is_open() && !intent.bill.acknowledged.contains(&other.key) {
                return Ok(Some(Obstacle::Open(other.key.clone(), open_payment(other))));
            }
        }
        let skew = self.failover.clock_skew();
        for other in &listed {
            let succeeded_at = other
                .record
                .as_ref()
                .and_then(|record| record.succeeded_at());
            let is_newer = |at| {
                inquired
                    .at
                    .is_some_and(|asked| asked.duration_since(at) > skew)
            };
            if succeeded_at.is_some_and(|at| !is_newer(at)) {
                let error = PurchaseError::InquiryOutdated {
                    reference_code: other.reference_code(),
                    skew,
                };
                return Ok(Some(Obstacle::Lasting(error)));
            }
        }
        Ok(None)
    }
}

/// Returns true for what may have paid the bill: payments, and what is not known to be anything else.
fn may_pay(listed: &ListedTransaction) -> bool {
    let record = listed.record.as_ref();
    record.is_none_or(|record| record.contents().operation() == Operation::PayPostpaid)
}

/// Builds the refusal of a payment for whose bill the list is full.
pub(super) fn full_bill(full: &FullBill) -> PurchaseError {
    match full {
        FullBill::Open(open) => open_payment(open),
        FullBill::Contended => PurchaseError::Overtaken,
    }
}

fn open_payment(open: &ListedTransaction) -> PurchaseError {
    PurchaseError::BillPaymentOpen {
        reference_code: open.reference_code(),
    }
}
