//! Which transactions stand for inquiries that OKEBAYAR may have sold: the note
//! `sold:<hash of product and account number>` names them.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Keep, Put, Store, StoreError, record};
use crate::transaction::{ProductCode, TransactionKey};

/// How long the note is kept: as long as other marks of reference codes.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// From how many transactions on the settled ones make room. An open one is never forgotten,
/// however many there are.
const LONG: usize = 64;

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

/// The transactions of inquiries that may have been sold, whatever became of them: a reading
/// of the note.
#[derive(Debug)]
pub struct Noted {
    text: Option<String>,
    keys: Vec<TransactionKey>,
}

impl Noted {
    /// Returns them, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[TransactionKey] {
        &self.keys
    }

    /// Returns true when those that are settled should make room.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.keys.len() >= LONG
    }
}

/// Reads the transactions of inquiries that may have been sold.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn noted(store: &dyn Store, sold: &Sold) -> Result<Noted, StoreError> {
    let text = store.note(&sold.0).await?;
    let noted = text.as_deref().unwrap_or_default().split(' ');
    let keys = noted.filter(|key| !key.is_empty());
    let keys = keys.map(record::parse_key).collect::<Result<_, _>>()?;
    Ok(Noted { text, keys })
}

/// Notes the transaction of an inquiry that may have been sold, in the place of `evicted`;
/// `false` when the note is no longer as it was read.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn note(
    store: &dyn Store,
    sold: &Sold,
    read: &Noted,
    key: &TransactionKey,
    evicted: &[TransactionKey],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let stay = |noted: &&TransactionKey| *noted != key && !evicted.contains(noted);
    let stays = read.keys.iter().filter(stay).chain([key]);
    let text = stays.map(TransactionKey::as_str).collect::<Vec<_>>();
    let text = text.join(" ");
    let keep = Keep {
        now,
        until: now.checked_add(KEPT).unwrap_or(Timestamp::MAX),
    };
    let put = store.put_note(&sold.0, read.text.as_deref(), &text, keep);
    Ok(put.await? == Put::Done)
}
