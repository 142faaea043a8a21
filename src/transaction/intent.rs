//! The intent of a caller: the purchase or payment that it requests.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    account_names::AccountName,
    account_number::AccountNumber,
    amount::Amount,
    code_types::{InquiryCode, ProductCode},
    labels::Labels,
    reference_code::{ReferenceCode, TransactionKey},
};

/// The kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A prepaid purchase.
    PurchasePrepaid,
    /// The payment of a bill.
    PayPostpaid,
}

/// The contents of a request, by which two requests are the same (promise 5): everything that the
/// caller requested, and nothing else. The deadline, the wait, the caller, the trace and the data
/// of an inquiry are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Contents {
    /// A prepaid purchase.
    PurchasePrepaid {
        /// OKEBAYAR's product code.
        product_code: ProductCode,
        /// The recipient.
        account_number: AccountNumber,
        /// The inquiry whose references are sent along, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inquiry_code: Option<InquiryCode>,
    },
    /// The payment of the bill that an inquiry found.
    PayPostpaid {
        /// The inquiry.
        inquiry_code: InquiryCode,
        /// The total that the customer was shown, in rupiah, if the caller states it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<Amount>,
    },
}

impl Contents {
    /// Returns the kind of the transaction.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::PurchasePrepaid { .. } => Operation::PurchasePrepaid,
            Self::PayPostpaid { .. } => Operation::PayPostpaid,
        }
    }

    /// Returns the inquiry on which the request is based, if there is one.
    #[must_use]
    pub fn inquiry_code(&self) -> Option<&InquiryCode> {
        match self {
            Self::PurchasePrepaid { inquiry_code, .. } => inquiry_code.as_ref(),
            Self::PayPostpaid { inquiry_code, .. } => Some(inquiry_code),
        }
    }

    /// Returns the name of the first field in which another request differs.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        match (self, other) {
            (one, other) if one == other => None,
            (
                Self::PurchasePrepaid {
                    product_code,
                    account_number,
                    ..
                },
                Self::PurchasePrepaid {
                    product_code: other_product,
                    account_number: other_number,
                    ..
                },
            ) => Some(if product_code != other_product {
                "product_code"
            } else if account_number != other_number {
                "account_number"
            } else {
                "inquiry_code"
            }),
            (
                Self::PayPostpaid { inquiry_code, .. },
                Self::PayPostpaid {
                    inquiry_code: other_inquiry,
                    ..
                },
            ) => Some(if inquiry_code == other_inquiry {
                "total"
            } else {
                "inquiry_code"
            }),
            _ => Some("operation"),
        }
    }
}

/// The trace of the call that created a transaction (W3C trace context), so that later traces can
/// link to it. Baggage is excluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The `traceparent` of the call.
    pub traceparent: String,
    /// Its `tracestate`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// A caller's request for a transaction, valid and complete.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The account that pays, unless a transaction already has the reference code.
    pub account: AccountName,
    /// The caller named the account, so a transaction of another account is a conflict. Otherwise
    /// the account is that of the inquiry, or the default account.
    pub names_account: bool,
    /// The caller's reference code.
    pub reference_code: ReferenceCode,
    /// The contents of the request.
    pub contents: Contents,
    /// The guards against paying another bill, or one bill twice.
    pub bill: BillGuards,
    /// The guards against a late or dear purchase.
    pub guards: Guards,
    /// The caller's own labels; not part of the contents.
    pub labels: Labels,
    /// The trace of the call; not part of the contents.
    pub trace: Option<TraceContext>,
}

/// The guards of a bill's payment. They are not part of its contents: a call that repeats a payment
/// need not repeat them.
#[derive(Clone, Debug, Default)]
pub struct BillGuards {
    /// The customer's number as given to the inquiry, if the caller states it.
    pub account_number: Option<AccountNumber>,
    /// The open payments of the bill that the caller acknowledges.
    pub acknowledged: Vec<TransactionKey>,
}

/// The guards of a request against a late or dear purchase. They are not part of its contents: a
/// call that repeats a purchase need not repeat them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guards {
    /// The time after which nothing may be sent.
    pub expire_at: Option<Timestamp>,
    /// The highest acceptable price, compared with the last one seen.
    pub max_price: Option<Amount>,
}

impl Intent {
    /// Returns the account that the caller named, if it named one.
    #[must_use]
    pub fn named_account(&self) -> Option<&AccountName> {
        self.names_account.then_some(&self.account)
    }

    /// Returns the key under which the transaction is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(&self.reference_code)
    }
}
