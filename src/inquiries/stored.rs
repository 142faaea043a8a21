//! The stored inquiries under each inquiry code.

use jiff::Timestamp;

use super::notes::{INQUIRY_KEPT, corrupt, keep};
use crate::{
    store::{CasResult, Store, StoreError},
    transaction::{AccountName, InquiriesUnderCode, Inquiry, InquiryCode, TooManyUnderCode},
};

/// The reason why an inquiry is not stored.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inquiry code has too many inquiries that can still be paid.
    #[error(transparent)]
    TooMany(#[from] TooManyUnderCode),
}

/// Stores an inquiry, beside the others under its code. Idempotent.
///
/// # Errors
/// [`SaveError`] when it is not stored.
pub async fn save(store: &dyn Store, inquiry: &Inquiry, now: Timestamp) -> Result<(), SaveError> {
    let name = inquiry_note_name(&inquiry.account, &inquiry.inquiry_code);
    let mut known = store.note(&name).await?;
    loop {
        let inquiries = match known.as_deref() {
            Some(known) => parse_inquiries(&name, known)?.add(inquiry.clone(), now)?,
            None => InquiriesUnderCode::new(inquiry.clone()),
        };
        let body = serde_json::to_string(&inquiries).map_err(|_| corrupt(&name))?;
        if known.as_ref() == Some(&body) {
            return Ok(());
        }
        let keep = keep(now, inquiries.expire_at().max(now), INQUIRY_KEPT);
        match store.put_note(&name, known.as_deref(), &body, keep).await? {
            CasResult::Done => return Ok(()),
            CasResult::Conflict(stored) => known = stored,
        }
    }
}

/// Loads the inquiries under a code, if there are any.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn load(
    store: &dyn Store,
    account: &AccountName,
    code: &InquiryCode,
) -> Result<Option<InquiriesUnderCode>, StoreError> {
    let name = inquiry_note_name(account, code);
    let body = store.note(&name).await?;
    body.map(|body| parse_inquiries(&name, &body)).transpose()
}

fn parse_inquiries(name: &str, body: &str) -> Result<InquiriesUnderCode, StoreError> {
    serde_json::from_str(body).map_err(|_| corrupt(name))
}

fn inquiry_note_name(account: &AccountName, code: &InquiryCode) -> String {
    format!("inquiry:{account}:{code}")
}
