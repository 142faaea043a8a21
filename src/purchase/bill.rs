//! One payment of a bill at a time: the verification against the other transactions of the bill.
//!
//! Two reference codes may pay one bill, each with an inquiry of its own, so unique reference codes
//! do not prevent a double payment (docs/decisions/0012-one-bill-one-payment.md).
//! Each payment is listed under its bill before its claim, and reads the other payments after it.
//!
//! SUBTLE: payments A and B compete for one bill.
//! 1. A is listed.
//! 2. B is listed.
//! 3. A is claimed.
//! 4. B is claimed.
//! 5. Each reads the record of the other.
//!
//! The payment that claims second reads after the first claim. So at least one of the two finds the
//! other open and is abandoned. Neither sends before its own read.

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
    /// A permanent obstacle.
    Lasting(PurchaseError),
}

impl Purchases {
    /// Refuses a payment when another transaction may be paying the bill, or has paid it since the
    /// inquiry. Prepaid purchases are not refused: several may follow one inquiry concurrently.
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

    /// Returns the first obstacle to the payment of a bill.
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
            let succeeded_at = other.succeeded_at();
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

/// Returns true for a payment, and for a listed transaction without a record, which may be one.
fn may_pay(listed: &ListedTransaction) -> bool {
    let record = listed.record.as_ref();
    record.is_none_or(|record| record.contents().operation() == Operation::PayPostpaid)
}

/// Builds the refusal of a payment that does not fit in the full list of its bill.
pub(super) fn full_bill(full: &FullBill) -> PurchaseError {
    match full {
        FullBill::Open(open) => open_payment(open),
        FullBill::Contended => PurchaseError::Overtaken,
    }
}

/// Builds the refusal of a payment while another one of the bill is open.
fn open_payment(open: &ListedTransaction) -> PurchaseError {
    PurchaseError::BillPaymentOpen {
        reference_code: open.reference_code(),
    }
}
