//! A stored inquiry, and the reasons why it may not be bought or paid.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{account_names::AccountName, amount::Amount, code_types::InquiryCode, order::Order};

/// A stored inquiry: everything that its purchase or payment sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// The account that made the inquiry.
    pub account: AccountName,
    /// OKEBAYAR's id of the inquiry.
    pub inquiry_code: InquiryCode,
    /// The time until which it may be paid (docs/OKEBAYAR.md, section 3).
    pub expires_at: Timestamp,
    /// The order that is sent.
    pub order: Order,
}

/// The reason why an inquiry may not be bought or paid as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPayable {
    /// The inquiry is past its `inquiryexpired`.
    #[error("the inquiry has expired; inquire again")]
    Expired,
    /// The inquiry is for another kind of transaction, product or account number.
    #[error("the inquiry was made for another {0}; inquire for this one")]
    OtherContents(&'static str),
    /// The amounts of the inquiry are unreadable.
    #[error("the inquiry's total is unreadable; inquire again")]
    TotalUnknown,
    /// The inquiry contains a character that the account's format cannot send back.
    #[error(
        "the inquiry's {0} contains a character that cannot be sent back to OKEBAYAR; inquire \
         again; if the problem persists, ask the gateway's operator for an account in the other \
         format"
    )]
    Unsendable(&'static str),
    /// Inquiries of several customers match the request.
    #[error(
        "OKEBAYAR gave the inquiry code to several customers; give account_number as in the \
         inquiry, or inquire again"
    )]
    Ambiguous,
    /// The caller stated another total than that of the inquiry.
    #[error("the inquiry's total is IDR {0}, not the stated one; show the customer this total")]
    OtherTotal(Amount),
}

impl Inquiry {
    /// Returns the order to send for a request that selects this inquiry.
    ///
    /// # Errors
    /// [`NotPayable::Expired`] when the inquiry has expired.
    pub fn order(&self, now: Timestamp) -> Result<&Order, NotPayable> {
        if now >= self.expires_at {
            return Err(NotPayable::Expired);
        }
        Ok(&self.order)
    }
}
