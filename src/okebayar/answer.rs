//! An answer of OKEBAYAR, or a callback, with the meaning of its names and texts.

use jiff::Timestamp;

use super::fields::{Fields, Unreadable};
use crate::transaction::{Details, StatusCode};

/// What an answer, or a callback, says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status as written; `None` when there is none.
    pub status: Option<String>,
    /// The reference code it names; `None` when it names none.
    pub reference_code: Option<String>,
    /// The product it names.
    pub product_code: Option<String>,
    /// The account number it names.
    pub account_number: Option<String>,
    /// The second account number it names (`accnumber2`).
    pub account_number_2: Option<String>,
    /// The third account number it names (`accnumber3`).
    pub account_number_3: Option<String>,
    /// The message that an echo returns.
    pub message: Option<String>,
    /// The inquiry that it names.
    pub inquiry_code: Option<String>,
    /// True when it names a member other than the one that asked: it proves nothing.
    pub names_another_member: bool,
    /// The member it names.
    pub user_id: Option<String>,
    /// True for an inquiry's answer, which is never evidence (API page, 3.1).
    pub is_inquiry: bool,
    /// Until when the inquiry may be paid, where that can be read.
    pub inquiry_expires: Option<Timestamp>,
    /// Everything else that is known.
    pub details: Details,
    /// Every name and text in order, `additionaldata` taken apart; no secret.
    pub fields: Fields,
    /// How many names `details` has no room for; `fields` has them.
    pub left_out: usize,
    /// Names of texts that were left out because they quoted a secret.
    pub withheld: Vec<&'static str>,
}

impl Answer {
    /// The status code, where it is one.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        StatusCode::read(self.status.as_deref()?)
    }

    /// The text under a name to the letter, so that it can be sent back; `None` when
    /// there is none.
    ///
    /// # Errors
    /// [`Unreadable::Ambiguous`] when there are two different ones,
    /// [`Unreadable::HoldsSecret`] when it cannot be kept.
    pub fn verbatim(&self, name: &'static str) -> Result<Option<&str>, Unreadable> {
        if self.withheld.contains(&name) {
            return Err(Unreadable::HoldsSecret(name));
        }
        let mut found = None;
        for (known, text) in &self.fields {
            if !known.eq_ignore_ascii_case(name) {
                continue;
            }
            match found {
                Some(other) if other != text => return Err(Unreadable::Ambiguous(name)),
                _ => found = Some(text),
            }
        }
        Ok(found.map(String::as_str))
    }
}
