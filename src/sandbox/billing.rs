//! Billing that an honest test needs a dishonest OKEBAYAR for.
//!
//! Set while the sandbox runs, by `PUT /bills/<account number>`, or `*` for every customer. The
//! body is one JSON object; `{}` ends it. `inquirycode`: inquiries are given this code, whoever
//! else was given it. `fine`: what is added to the bill, in rupiah. `owed_until_told`: a bill is
//! owed, and is paid again, until a success was told in answer to a payment or a status check.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

/// The key of what every customer has.
const EVERY: &str = "*";

/// How a customer is billed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Billing {
    /// The code of every inquiry; else each has one of its own.
    pub inquirycode: Option<String>,
    /// What is added to the bill, in rupiah.
    pub fine: u64,
    /// A bill is owed until a success was told.
    pub owed_until_told: bool,
}

/// How customers are billed, by account number.
#[derive(Default)]
pub struct Billings(Mutex<HashMap<String, Billing>>);

/// Reads the body that sets billing; `None` when it is none.
#[must_use]
pub fn read(body: &[u8]) -> Option<Billing> {
    serde_json::from_slice(body).ok()
}

impl Billings {
    /// Sets how a customer is billed.
    pub fn set(&self, account_number: String, billing: Billing) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(account_number, billing);
    }

    /// Returns how a customer is billed.
    #[must_use]
    pub fn of(&self, account_number: &str) -> Billing {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(account_number).or_else(|| all.get(EVERY));
        found.cloned().unwrap_or_default()
    }
}
