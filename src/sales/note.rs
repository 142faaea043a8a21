//! The notes of possible sales. The note `sold:<hash of product and account number>` lists the
//! transactions that stand for the sales of one product to one recipient.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::{
    okebayar::phone_number::mobile,
    store::{Expiry, KeyList, Store, StoreError},
    transaction::{AccountNumber, ProductCode, TransactionKey},
};

/// The retention of a note: the same as of other marks of reference codes.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The name of the note of a product and recipient, independent of how callers write the recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold(String);

impl Sold {
    /// Builds the name from the normalized `recipient`. Hashes it, to keep the recipient out of the
    /// store and the log.
    #[must_use]
    pub fn new(product_code: &ProductCode, recipient: &str) -> Self {
        let about = format!("{product_code}/{recipient}");
        let digest = Sha256::digest(about.to_ascii_lowercase());
        Self(format!("sold:{}", hex::encode(&digest[..16])))
    }

    /// Returns the name of the note.
    #[must_use]
    pub fn note_name(&self) -> &str {
        &self.0
    }
}

/// Reads the transactions in a note.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn noted(store: &dyn Store, sold: &Sold) -> Result<KeyList, StoreError> {
    KeyList::read(store, &sold.0).await
}

/// Adds a transaction to a note, and removes `evicted`, by compare-and-set. Returns false when the
/// note has changed since it was read.
///
/// # Errors
/// [`StoreError`] on an indeterminate result or a failure.
pub async fn note(
    store: &dyn Store,
    sold: &Sold,
    read: &KeyList,
    key: &TransactionKey,
    evicted: &[TransactionKey],
    now: Timestamp,
) -> Result<bool, StoreError> {
    read.put_last(store, &sold.0, key, evicted, keep(now)).await
}

/// Renews a note, if a transaction is in it.
///
/// # Errors
/// [`StoreError`] when the store fails.
pub(super) async fn renew(
    store: &dyn Store,
    sold: &Sold,
    key: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let noted = noted(store, sold).await?;
    noted.renew(store, &sold.0, key, keep(now)).await
}

/// Returns the expiry of a note.
fn keep(now: Timestamp) -> Expiry {
    Expiry {
        now,
        until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
    }
}

/// Normalizes the recipient, and builds the name of its note. Callers write one mobile number in
/// several forms, and other numbers with and without separators.
#[must_use]
pub fn sold(product_code: &ProductCode, account_number: &AccountNumber) -> Sold {
    let text = account_number.as_str();
    let recipient =
        mobile(text).unwrap_or_else(|| text.chars().filter(|c| c.is_alphanumeric()).collect());
    Sold::new(product_code, &recipient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_number_are_one_sale_and_other_numbers_are_not() {
        let product = ProductCode::parse("PLN20").unwrap();
        let of = |text: &str| sold(&product, &AccountNumber::parse(text).unwrap());
        assert_eq!(of("081234567890"), of("+62812-3456-7890"));
        assert_eq!(of("123456789012"), of("12-3456.789012"));
        assert_eq!(of("Player@One"), of("player.one"));
        assert_ne!(of("123456789012"), of("0123456789012"));
        let other = ProductCode::parse("PLN50").unwrap();
        let number = AccountNumber::parse("081234567890").unwrap();
        assert_ne!(sold(&product, &number), sold(&other, &number));
    }
}
