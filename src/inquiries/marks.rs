//! Marks on reference codes that were used for inquiries. A status check of such a code may return
//! the inquiry instead of the purchase.

use jiff::Timestamp;

use super::{
    inquiry_records::InquiryRecords,
    notes::{MARK_KEPT, corrupt, keep},
};
use crate::{
    store::{CasResult, Expiry, Store, StoreError, mark_name},
    transaction::{Details, InquiriesMade, StatusCode, Transaction, TransactionKey},
};

/// Marks a reference code as used for an inquiry, because a status check may then return the
/// inquiry (docs/OKEBAYAR.md, section 3.2).
///
/// # Errors
/// [`StoreError`] on an indeterminate result; then do not inquire.
pub async fn note_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.note(id)).await
}

/// Stores the answer to such an inquiry, its texts as hashes.
///
/// # Errors
/// [`StoreError`] when the answer is not stored. Any answer then counts as the inquiry's, which is the
/// safe assumption.
pub async fn note_answered(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    (code, details): (StatusCode, &Details),
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.note_answer(id, code, details)).await
}

/// Removes the mark of an inquiry that provably was not sent.
///
/// # Errors
/// [`StoreError`] when the removal is not stored. The mark then stays, which is the safe
/// assumption.
pub async fn forget_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.forget(id)).await
}

/// Applies a change to the inquiries made under a reference code.
async fn update_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    now: Timestamp,
    change: impl Fn(&mut InquiriesMade),
) -> Result<(), StoreError> {
    let name = mark_name(key);
    update_note(store, &name, keep(now, now, MARK_KEPT), |known| {
        let mut made = parse_inquired(&name, known)?;
        change(&mut made);
        let text = serde_json::to_string(&made).map_err(|_| corrupt(&name))?;
        Ok((known != Some(text.as_str())).then_some(text))
    })
    .await
}

/// Loads the inquiries made under a reference code.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn inquired(
    store: &dyn Store,
    key: &TransactionKey,
) -> Result<InquiriesMade, StoreError> {
    let name = mark_name(key);
    parse_inquired(&name, store.note(&name).await?.as_deref())
}

fn parse_inquired(name: &str, text: Option<&str>) -> Result<InquiriesMade, StoreError> {
    text.map_or(Ok(InquiriesMade::default()), |text| {
        serde_json::from_str(text).map_err(|_| corrupt(name))
    })
}

/// Updates a note by compare-and-set; retries while another process wins.
async fn update_note(
    store: &dyn Store,
    name: &str,
    keep: Expiry,
    change: impl Fn(Option<&str>) -> Result<Option<String>, StoreError>,
) -> Result<(), StoreError> {
    let mut known = store.note(name).await?;
    while let Some(to) = change(known.as_deref())? {
        match store.put_note(name, known.as_deref(), &to, keep).await? {
            CasResult::Done => break,
            CasResult::Conflict(stored) => known = stored,
        }
    }
    Ok(())
}

impl InquiryRecords {
    /// Loads the inquiries that may have been made under a transaction's reference code. After a
    /// loss of records the store may have lost the mark of one, to which any answer may belong.
    /// A POST that OKEBAYAR answered like an inquiry counts as one.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn made_for(&self, about: &Transaction) -> Result<InquiriesMade, StoreError> {
        let mut inquired = inquired(&*self.store, &about.key()).await?;
        if about.follows_loss() {
            inquired.note_forgotten();
        }
        let answers = about.evidence().iter().map(|(said, _)| said);
        for answer in answers.filter(|said| said.is_about_inquiry()) {
            inquired.note_made_of_post(answer.code);
        }
        Ok(inquired)
    }
}
