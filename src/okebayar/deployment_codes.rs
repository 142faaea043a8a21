//! The properties of OKEBAYAR that are not documented and that a deployment configures.

use std::collections::BTreeSet;

use super::account_number::AccountNumberForms;
use crate::transaction::{StatusCode, StatusCodeEntry};

/// The configured meaning of undocumented codes and answers, and the forms of account numbers.
#[derive(Clone, Debug, Default)]
pub struct CodeLists {
    /// The codes that mean, in the answer to a check, that OKEBAYAR never received the reference
    /// code.
    pub not_received: BTreeSet<StatusCode>,
    /// The undocumented final codes that prove a failure, instead of a doubt.
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
