//! What an inquiry found, and whether it may be bought or paid.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{account_names::AccountName, amount::Amount, codes::InquiryCode, order::Order};

/// A stored inquiry: everything that a purchase or payment of it sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// The account that asked.
    pub account: AccountName,
    /// OKEBAYAR's id of it.
    pub inquiry_code: InquiryCode,
    /// Until when it may be paid (API page, section 3).
    pub expires_at: Timestamp,
    /// What is sent.
    pub order: Order,
}

/// Why an inquiry may not be bought or paid as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPayable {
    /// It is past `inquiryexpired`.
    #[error("the inquiry has expired; inquire again")]
    Expired,
    /// It is for another kind of transaction, product or account number.
    #[error("the inquiry was made for another {0}; inquire for this one")]
    OtherContents(&'static str),
    /// Its amounts cannot be read.
    #[error("the inquiry's total cannot be read; inquire again")]
    TotalUnknown,
    /// It holds a character that the account's format cannot send back.
    #[error(
        "the inquiry's {0} holds a character that cannot be sent back to OKEBAYAR; inquire again, \
         and if it stays so ask the gateway's operator for an account in the other format"
    )]
    Unsendable(&'static str),
    /// Inquiries of several customers fit the request.
    #[error(
        "OKEBAYAR gave the inquiry code to several customers; give account_number as it was \
         inquired, or inquire again"
    )]
    Ambiguous,
    /// The caller showed another total to the customer.
    #[error("the inquiry's total is IDR {0}, not the stated one; show the customer that one")]
    OtherTotal(Amount),
}

impl Inquiry {
    /// Returns what is sent for a request that means this inquiry.
    ///
    /// # Errors
    /// [`NotPayable::Expired`] when it is too late.
    pub fn order(&self, now: Timestamp) -> Result<&Order, NotPayable> {
        if now >= self.expires_at {
            return Err(NotPayable::Expired);
        }
        Ok(&self.order)
    }
}
