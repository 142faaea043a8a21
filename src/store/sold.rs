//! Which transactions stand for inquiries that OKEBAYAR may have sold: the note
//! `sold:<hash of product and account number>` names them.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Keep, Put, Store, StoreError, record};
use crate::transaction::{ProductCode, TransactionKey};

/// How long the note is kept: as long as other marks of reference codes.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The most transactions noted for one product and account number; beyond it no further
/// one is, and those that are noted keep purchases back.
const NOTED_MAX: usize = 64;

/// What was sold, and to whom, whichever form its caller wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold(String);

impl Sold {
    /// Names what was sold. `recipient` is the one form of all texts for one recipient. A hash
    /// keeps it out of the store and the log.
    #[must_use]
    pub fn new(product_code: &ProductCode, recipient: &str) -> Self {
        let about = format!("{product_code}/{recipient}");
        let digest = Sha256::digest(about.to_ascii_lowercase());
        Self(format!("sold:{}", hex::encode(&digest[..16])))
    }
}

/// Notes the transaction of an inquiry that may have been sold.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn note(
    store: &dyn Store,
    sold: &Sold,
    key: &TransactionKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Sold(name) = sold;
    let ours = key.to_string();
    let keep = Keep {
        now,
        until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
    };
    let mut known = store.note(name).await?;
    loop {
        let noted: Vec<&str> = known.as_deref().unwrap_or_default().split(' ').collect();
        if noted.contains(&ours.as_str()) || noted.len() >= NOTED_MAX {
            return Ok(());
        }
        let text = match &known {
            Some(known) => format!("{known} {ours}"),
            None => ours.clone(),
        };
        match store.put_note(name, known.as_deref(), &text, keep).await? {
            Put::Done => return Ok(()),
            Put::Conflict(stored) => known = stored,
        }
    }
}

/// Returns the transactions of inquiries that may have been sold, whatever became of them.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn noted(store: &dyn Store, sold: &Sold) -> Result<Vec<TransactionKey>, StoreError> {
    let known = store.note(&sold.0).await?;
    let known = known.unwrap_or_default();
    let keys = known.split(' ').filter(|key| !key.is_empty());
    keys.map(record::parse_key).collect()
}
