//! What a deployment knows of its OKEBAYAR and the documentation does not.

use std::collections::BTreeSet;

use super::account_number::AccountNumberForms;
use crate::transaction::{StatusCode, StatusCodeEntry};

/// What a deployment knows of its OKEBAYAR and the documentation does not: the meaning of codes,
/// and the forms of account numbers.
#[derive(Clone, Debug, Default)]
pub struct CodeLists {
    /// In a check: OKEBAYAR never received the reference code.
    pub not_received: BTreeSet<StatusCode>,
    /// Undocumented final codes that prove a failure at once.
    pub failed: BTreeSet<StatusCode>,
    /// The forms in which answers may name an account number.
    pub account_numbers: AccountNumberForms,
}

impl CodeLists {
    /// Returns the row of a code in the table of status codes, as this deployment reads it.
    #[must_use]
    pub fn entry(&self, code: StatusCode) -> &'static StatusCodeEntry {
        if code.documented().is_none() && self.failed.contains(&code) {
            &StatusCodeEntry::LISTED_AS_FAILED
        } else {
            code.entry()
        }
    }
}
