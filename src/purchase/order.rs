//! The order of a request: product and recipient, and the inquiry that it rests on.

use std::sync::Arc;

use futures::future::try_join_all;

use super::{
    error::{Holder, PurchaseError},
    purchases::Purchases,
};
use crate::{
    failover::is_open,
    inquiries::{binding::BindingNote, stored},
    store::StoreError,
    transaction::{
        AccountName, Amount, Contents, InquiriesUnderCode, InquiryCode, InquirySelector, Intent,
        Order, Transaction, TransactionKey,
    },
};

/// The result of the admission of an order.
pub(super) enum AdmittedOrder {
    /// This transaction already has the reference code.
    Taken(Arc<Transaction>),
    /// An order to be claimed.
    New(Box<NewOrder>),
}

/// An order to be claimed, and the account that pays.
pub(super) struct NewOrder {
    /// The account that pays.
    pub(super) account: AccountName,
    /// The product and recipient.
    pub(super) order: Order,
    /// The binding of its inquiry to the reference code, if it has an inquiry.
    pub(super) binding: Option<BindingNote>,
    /// The last price of the product, where it was read together with the admission.
    pub(super) last_price: Option<LastPrice>,
}

/// The last price that OKEBAYAR deducted for a product; `None` when it is unknown.
pub(super) type LastPrice = Option<Amount>;

/// Returns the criteria by which a request selects its inquiry; `before` is the order of an earlier
/// attempt under the reference code.
pub(super) fn meant<'a>(intent: &'a Intent, before: Option<&'a Order>) -> InquirySelector<'a> {
    match &intent.contents {
        Contents::PurchasePrepaid {
            product_code,
            account_number,
            ..
        } => InquirySelector::Prepaid {
            product_code,
            account_number,
        },
        Contents::PayPostpaid { total, .. } => InquirySelector::Bill {
            total: *total,
            account_number: intent.bill.account_number.as_ref(),
            before,
        },
    }
}

impl Purchases {
    /// Loads the inquiries under a code: those of the named account, or of the only account that
    /// has any.
    pub(super) async fn find_inquiries(
        &self,
        account: Option<&AccountName>,
        code: &InquiryCode,
    ) -> Result<InquiriesUnderCode, PurchaseError> {
        let names = self.accounts.names_of(account);
        let loads = names.map(|name| stored::load(&*self.store, name, code));
        let loaded = try_join_all(loads).await;
        let mut found = loaded
            .map_err(PurchaseError::NotClaimed)?
            .into_iter()
            .flatten();
        let inquiries = found.next().ok_or(PurchaseError::NoSuchInquiry)?;
        match found.next() {
            Some(_) => Err(PurchaseError::AmbiguousInquiry),
            None => Ok(inquiries),
        }
    }

    /// Builds the refusal of a call whose inquiry another transaction holds.
    pub(super) async fn already_used(
        &self,
        holder: Option<TransactionKey>,
    ) -> Result<PurchaseError, StoreError> {
        let Some(key) = holder else {
            return Ok(PurchaseError::NoSuchInquiry);
        };
        let (record, is_retired) = match self.ledger.load(&key).await {
            Err(StoreError::Retired(_)) => (None, true),
            loaded => (loaded?, false),
        };
        let holder = match &record {
            Some(record) if is_open(record) => Holder::Open,
            Some(_) => Holder::Settled,
            None if is_retired => Holder::Settled,
            None if self.failover.may_have_forgotten(&key).await => Holder::Open,
            None => Holder::Unclaimed,
        };
        let reference_code = match record {
            Some(record) => record.reference_code().to_string(),
            None => key.to_string(),
        };
        Ok(PurchaseError::InquiryAlreadyUsed {
            reference_code,
            holder,
        })
    }
}
