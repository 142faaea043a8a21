//! What a caller wants, and the token that names one attempt at it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codes::{AccountName, AccountNumber, ProductCode, ReferenceCode, TransactionKey};

/// What kind of transaction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A prepaid purchase.
    PurchasePrepaid,
}

/// What makes two requests the same (promise 5): never the deadline, the wait,
/// the caller or the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The kind of transaction.
    pub operation: Operation,
    /// OKEBAYAR's product code.
    pub product_code: ProductCode,
    /// Who receives it.
    pub account_number: AccountNumber,
}

/// A caller's wish, valid and complete.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The configured account that pays.
    pub account: AccountName,
    /// The caller's reference code.
    pub reference_code: ReferenceCode,
    /// What is bought.
    pub contents: Contents,
}

impl Intent {
    /// The key under which the transaction is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(self.account.clone(), &self.reference_code)
    }
}

/// Names one attempt to send; whoever made it may send, nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptToken(pub(super) Uuid);

impl AttemptToken {
    /// The token with these random bytes.
    #[must_use]
    pub fn new(random: Uuid) -> Self {
        Self(random)
    }
}

impl std::fmt::Display for AttemptToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
