//! The marks of reference codes that were used for inquiries: a status check may find the inquiry.

use jiff::Timestamp;

use super::{
    inquiry_records::InquiryRecords,
    notes::{MARK_KEPT, corrupt, keep},
};
use crate::{
    store::{Keep, Put, Store, StoreError},
    transaction::{Details, InquiriesMade, StatusCode, Transaction, TransactionKey},
};

/// Notes that a reference code is used for an inquiry: a check may then find the inquiry (API
/// page, 3.2).
///
/// # Errors
/// [`StoreError`] when it may not be stored; then do not inquire.
pub async fn note_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.note(id)).await
}

/// Notes what such an inquiry was answered, its texts as hashes.
///
/// # Errors
/// [`StoreError`] when that is not stored; any answer then counts as its own, which is the
/// careful reading.
pub async fn note_answered(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    (code, details): (StatusCode, &Details),
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.note_answer(id, code, details)).await
}

/// Takes back the note of an inquiry that provably was not sent.
///
/// # Errors
/// [`StoreError`] when that is not stored; the note is then the careful reading.
pub async fn forget_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    update_inquired(store, key, now, |made| made.forget(id)).await
}

async fn update_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    now: Timestamp,
    change: impl Fn(&mut InquiriesMade),
) -> Result<(), StoreError> {
    let name = mark_note_name(key);
    update_note(store, &name, keep(now, now, MARK_KEPT), |known| {
        let mut made = parse_inquired(&name, known)?;
        change(&mut made);
        let text = serde_json::to_string(&made).map_err(|_| corrupt(&name))?;
        Ok((known != Some(text.as_str())).then_some(text))
    })
    .await
}

/// The inquiries made under a reference code.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn inquired(
    store: &dyn Store,
    key: &TransactionKey,
) -> Result<InquiriesMade, StoreError> {
    let name = mark_note_name(key);
    parse_inquired(&name, store.note(&name).await?.as_deref())
}

fn parse_inquired(name: &str, text: Option<&str>) -> Result<InquiriesMade, StoreError> {
    text.map_or(Ok(InquiriesMade::default()), |text| {
        serde_json::from_str(text).map_err(|_| corrupt(name))
    })
}

/// Makes a change of a note, again as long as somebody else was faster.
async fn update_note(
    store: &dyn Store,
    name: &str,
    keep: Keep,
    change: impl Fn(Option<&str>) -> Result<Option<String>, StoreError>,
) -> Result<(), StoreError> {
    let mut known = store.note(name).await?;
    while let Some(to) = change(known.as_deref())? {
        match store.put_note(name, known.as_deref(), &to, keep).await? {
            Put::Done => break,
            Put::Conflict(stored) => known = stored,
        }
    }
    Ok(())
}

fn mark_note_name(key: &TransactionKey) -> String {
    format!("inquired:{key}")
}

impl InquiryRecords {
    /// Returns the inquiries made under its reference code. Where the store lost what it held of
    /// that, it may have forgotten one as well: any answer may be that one's. Where OKEBAYAR
    /// answered the POST like an inquiry, it made one of it.
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
