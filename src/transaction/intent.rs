//! What a caller wants, and the token that names one attempt at it.

use serde::{Deserialize, Serialize};

use super::{
    account_names::AccountName,
    account_number::AccountNumber,
    amount::Amount,
    codes::{InquiryCode, ProductCode},
    reference_code::{ReferenceCode, TransactionKey},
};

/// What kind of transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A prepaid purchase.
    PurchasePrepaid,
    /// The payment of a bill.
    PayPostpaid,
}

/// What makes two requests the same (promise 5): all that the caller said, and
/// nothing else; never the deadline, the wait, the caller or the trace, nor what an
/// inquiry adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Contents {
    /// A prepaid purchase.
    PurchasePrepaid {
        /// OKEBAYAR's product code.
        product_code: ProductCode,
        /// Who receives it.
        account_number: AccountNumber,
        /// The inquiry whose references go along, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inquiry_code: Option<InquiryCode>,
    },
    /// The payment of the bill that an inquiry found.
    PayPostpaid {
        /// The inquiry.
        inquiry_code: InquiryCode,
        /// The total that the customer was shown, in rupiah, if the caller says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<Amount>,
    },
}

impl Contents {
    /// What kind of transaction it is.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::PurchasePrepaid { .. } => Operation::PurchasePrepaid,
            Self::PayPostpaid { .. } => Operation::PayPostpaid,
        }
    }

    /// The inquiry that it comes from, if there is one.
    #[must_use]
    pub fn inquiry_code(&self) -> Option<&InquiryCode> {
        match self {
            Self::PurchasePrepaid { inquiry_code, .. } => inquiry_code.as_ref(),
            Self::PayPostpaid { inquiry_code, .. } => Some(inquiry_code),
        }
    }

    /// The name of the first field in which another request differs.
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

/// The trace in which a purchase was wanted (W3C trace context), so that what comes
/// later can link to it. Never baggage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The `traceparent` of the call.
    pub traceparent: String,
    /// Its `tracestate`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// A caller's wish, valid and complete.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The account that pays, unless a transaction has the reference code already.
    pub account: AccountName,
    /// True when the caller names the account: a transaction of another one is then not
    /// what it wants. Otherwise the account is the inquiry's, or the default one.
    pub names_account: bool,
    /// The caller's reference code.
    pub reference_code: ReferenceCode,
    /// What is bought.
    pub contents: Contents,
    /// What the caller says of the bill, so that it pays no other one and none twice.
    pub bill: BillGuards,
    /// The trace in which it is wanted; no part of what is wanted.
    pub trace: Option<TraceContext>,
}

/// Guards of a bill's payment. No part of its contents: a call that repeats a payment need
/// not repeat them.
#[derive(Clone, Debug, Default)]
pub struct BillGuards {
    /// The customer's number as it was inquired, if the caller gives it.
    pub account_number: Option<AccountNumber>,
    /// The open payments of the bill that the caller knows of and pays beside.
    pub acknowledged: Vec<TransactionKey>,
}

impl Intent {
    /// The account that the caller names, if it names one.
    #[must_use]
    pub fn named_account(&self) -> Option<&AccountName> {
        self.names_account.then_some(&self.account)
    }

    /// The key under which the transaction is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(&self.reference_code)
    }
}
