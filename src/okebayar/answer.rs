//! An answer of OKEBAYAR, or a callback, after its names and texts were given meaning.

use jiff::Timestamp;

use super::fields::{Fields, Unreadable};
use crate::transaction::{Details, StatusCode};

/// An answer of OKEBAYAR, or a callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status as written; `None` without one.
    pub status: Option<String>,
    /// The reference code that it names; `None` without one.
    pub reference_code: Option<String>,
    /// The product that it names.
    pub product_code: Option<String>,
    /// The account number that it names.
    pub account_number: Option<String>,
    /// The second account number that it names (`accnumber2`).
    pub account_number_2: Option<String>,
    /// The third account number that it names (`accnumber3`).
    pub account_number_3: Option<String>,
    /// The message that an echo returns.
    pub message: Option<String>,
    /// The inquiry that it names.
    pub inquiry_code: Option<String>,
    /// The answer names another member than the one that asked, so it proves nothing.
    pub names_another_member: bool,
    /// The member that it names.
    pub user_id: Option<String>,
    /// The answer to an inquiry, which is never evidence (docs/OKEBAYAR.md, section 3.1).
    pub is_inquiry: bool,
    /// The time until which the inquiry may be paid; `None` where it is unreadable.
    pub inquiry_expires: Option<Timestamp>,
    /// The other facts of the answer.
    pub details: Details,
    /// Every name and text in order, without secrets; `additionaldata` is taken apart.
    pub fields: Fields,
    /// The number of names that did not fit into `details`; `fields` has them.
    pub left_out: usize,
    /// The names of texts that were left out because they quoted a secret.
    pub withheld: Vec<&'static str>,
}

impl Answer {
    /// Returns the status code; `None` when the status is not a status code.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        StatusCode::read(self.status.as_deref()?)
    }

    /// Returns the text under a name verbatim, so that it can be sent back; `None` when there is
    /// none.
    ///
    /// # Errors
    /// [`Unreadable::Ambiguous`] when there are two different texts,
    /// [`Unreadable::HoldsSecret`] when the text was left out because it quoted a secret.
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
