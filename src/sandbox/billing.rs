//! Irregular billing, for tests of an OKEBAYAR that reuses inquiry codes or bills twice.
//!
//! A test sets it at run time with `PUT /bills/<account number>`, or with `*` for every customer.
//! The body is one JSON object; `{}` restores regular billing.
//!
//! - `inquirycode`: all inquiries get this code, even if other inquiries have it already.
//! - `fine`: the amount added to the bill, in rupiah.
//! - `owed_until_told`: the bill stays payable, and can be paid again, until an answer to a payment
//!   or a status check has reported success.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;

/// The key of billing for every customer.
const EVERY: &str = "*";

/// The billing of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Billing {
    /// The code of all inquiries; by default each inquiry gets a new one.
    pub inquirycode: Option<String>,
    /// The fine added to the bill, in rupiah.
    pub fine: u64,
    /// The bill stays payable until an answer has reported success.
    pub owed_until_told: bool,
}

/// The billing of customers by account number.
#[derive(Default)]
pub struct Billings(Mutex<HashMap<String, Billing>>);

/// Parses the body of a request that sets billing; returns `None` when it is malformed.
#[must_use]
pub fn read(body: &[u8]) -> Option<Billing> {
    serde_json::from_slice(body).ok()
}

impl Billings {
    /// Sets the billing of a customer.
    pub fn set(&self, account_number: String, billing: Billing) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(account_number, billing);
    }

    /// Returns the billing of a customer.
    #[must_use]
    pub fn of(&self, account_number: &str) -> Billing {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(account_number).or_else(|| all.get(EVERY));
        found.cloned().unwrap_or_default()
    }
}
