//! What an inquiry found, and whether it may be bought or paid.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    amount::Amount,
    codes::{AccountName, InquiryCode, StatusCode},
    order::Order,
};

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

/// The inquiries that were made under one reference code: a check of a purchase
/// under the same one may find them (API page, 3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InquiriesMade(Vec<(String, Option<StatusCode>)>);

/// The most inquiries remembered; more count as one with an unknown answer.
const INQUIRIES_MAX: usize = 32;
/// Stands for an inquiry that the store may have forgotten; no inquiry has this id.
const FORGOTTEN: &str = "forgotten";

impl InquiriesMade {
    /// Adds an inquiry, or what it was answered; `id` is unique to it.
    pub fn note(&mut self, id: &str, answered: Option<StatusCode>) {
        let known = self.0.iter_mut().find(|(known, _)| known == id);
        if let Some((_, code)) = known {
            *code = answered.or(*code);
        } else if self.0.len() < INQUIRIES_MAX {
            self.0.push((id.to_owned(), answered));
        } else if let Some((_, code)) = self.0.last_mut() {
            *code = None;
        }
    }

    /// Adds an inquiry that the store may have forgotten, if there was one: any answer may
    /// be that one's.
    pub fn note_forgotten(&mut self) {
        self.note(FORGOTTEN, None);
    }

    /// Returns true when one besides `id` has no known answer.
    #[must_use]
    pub fn has_unanswered_beside(&self, id: &str) -> bool {
        let mut made = self.0.iter();
        made.any(|(known, got)| known != id && known != FORGOTTEN && got.is_none())
    }

    /// Takes back an inquiry that was not sent after all.
    pub fn forget(&mut self, id: &str) {
        self.0.retain(|(known, _)| known != id);
    }

    /// True when there was one.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// True when one was, or may have been, answered with this code.
    #[must_use]
    pub fn may_have_got(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(_, got)| got.is_none_or(|got| got == code))
    }

    /// Returns true when one that the store remembers was, or may have been, answered with this
    /// code.
    #[must_use]
    pub fn is_known_to_get(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(id, got)| id != FORGOTTEN && got.is_none_or(|got| got == code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inquiry_may_have_got_any_code_until_it_is_answered() {
        let code = |text| StatusCode::read(text).unwrap();
        let mut made = InquiriesMade::default();
        assert!(!made.any() && !made.may_have_got(code("204")));
        made.note("a", None);
        assert!(made.any() && made.may_have_got(code("204")));
        made.note("a", Some(code("000")));
        assert!(made.any() && !made.may_have_got(code("204")));
        made.note("b", Some(code("204")));
        assert!(made.may_have_got(code("204")) && !made.may_have_got(code("205")));
        made.note("c", None);
        made.forget("c");
        assert!(!made.may_have_got(code("205")), "it was not sent");
        for number in 0..100 {
            made.note(&number.to_string(), Some(code("000")));
        }
        assert!(made.may_have_got(code("205")), "too many to remember");
    }
}
