//! Which transactions stand for inquiries that OKEBAYAR may have sold: the note
//! `sold:<hash of product and account number>` names them.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Keep, Put, Store, StoreError, record};
use crate::transaction::{AccountNumber, ProductCode, TransactionKey};

/// How long the note is kept: as long as other marks of reference codes.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The most transactions noted for one product and account number; beyond it no further
/// one is, and those that are noted keep purchases back.
const NOTED_MAX: usize = 64;

/// Notes the transaction of an inquiry that may have been sold.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn note(
    store: &dyn Store,
    product_code: &ProductCode,
    account_number: &AccountNumber,
    key: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = name(product_code, account_number);
    let ours = key.to_string();
    let keep = Keep {
        now,
        until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
    };
    let mut known = store.note(&name).await?;
    loop {
        let noted: Vec<&str> = known.as_deref().unwrap_or_default().split(' ').collect();
        if noted.contains(&ours.as_str()) || noted.len() >= NOTED_MAX {
            return Ok(());
        }
        let text = match &known {
            Some(known) => format!("{known} {ours}"),
            None => ours.clone(),
        };
        match store.put_note(&name, known.as_deref(), &text, keep).await? {
            Put::Done => return Ok(()),
            Put::Conflict(stored) => known = stored,
        }
    }
}

/// Returns the transactions of inquiries that may have been sold, whatever became of them.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn noted(
    store: &dyn Store,
    product_code: &ProductCode,
    account_number: &AccountNumber,
) -> Result<Vec<TransactionKey>, StoreError> {
    let known = store.note(&name(product_code, account_number)).await?;
    let known = known.unwrap_or_default();
    let keys = known.split(' ').filter(|key| !key.is_empty());
    keys.map(record::parse_key).collect()
}

/// Returns true when a sale of the one keeps purchases of the other back.
#[must_use]
pub fn is_same(one: (&ProductCode, &AccountNumber), other: (&ProductCode, &AccountNumber)) -> bool {
    name(one.0, one.1) == name(other.0, other.1)
}

/// Returns the name of the note. A hash keeps the account number out of it.
fn name(product_code: &ProductCode, account_number: &AccountNumber) -> String {
    let about = format!("{product_code}/{}", account_number.as_str());
    let digest = Sha256::digest(about.to_ascii_lowercase());
    format!("sold:{}", hex::encode(&digest[..16]))
}
