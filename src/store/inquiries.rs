//! What the store remembers of inquiries, in notes.
//!
//! | note | holds |
//! | --- | --- |
//! | `inquiry:<account>:<inquiry code>` | the [`Inquiries`] under the code |
//! | `bound:<account>:<inquiry code>[ <number>]` | the transaction bound to it and the one before |
//! | `inquired:<reference>` | the [`InquiriesMade`] under the reference code |
//! | `bill:<hash of the customer>` | the transactions for one customer's bills |

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{CasResult, Expiry, KeyList, Store, StoreError, key};
use crate::transaction::{
    AccountName, Details, Inquiries, InquiriesMade, Inquiry, InquiryCode, Numbered, StatusCode,
    TooManyUnderCode, TransactionKey, Verbatim,
};

/// How long an inquiry is remembered after it can no longer be paid.
const INQUIRY_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long it matters which reference codes were used for inquiries, and which
/// transactions are for one bill: longer than anything is checked.
const MARK_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

fn keep(now: Timestamp, from: Timestamp, by: SignedDuration) -> Expiry {
    Expiry {
        now,
        until: from.checked_add(by).unwrap_or(Timestamp::MAX),
    }
}

/// Why an inquiry is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It may not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its code has too many live ones.
    #[error(transparent)]
    TooMany(#[from] TooManyUnderCode),
}

/// Remembers an inquiry, beside the others under its code.
///
/// # Errors
/// [`NotKept`] when it may not be stored.
pub async fn save(store: &dyn Store, inquiry: &Inquiry, now: Timestamp) -> Result<(), NotKept> {
    let name = inquiry_name(&inquiry.account, &inquiry.inquiry_code);
    let mut known = store.note(&name).await?;
    loop {
        let inquiries = match known.as_deref() {
            Some(known) => read_inquiries(&name, known)?.add(inquiry.clone(), now)?,
            None => Inquiries::new(inquiry.clone()),
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
) -> Result<Option<Inquiries>, StoreError> {
    let name = inquiry_name(account, code);
    let body = store.note(&name).await?;
    body.map(|body| read_inquiries(&name, &body)).transpose()
}

fn read_inquiries(name: &str, body: &str) -> Result<Inquiries, StoreError> {
    serde_json::from_str(body).map_err(|_| corrupt(name))
}

/// To whom an inquiry belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The transaction that may use it.
    pub holder: TransactionKey,
    /// The one that could before, if there was one.
    pub previous: Option<TransactionKey>,
}

impl Binding {
    fn write(&self) -> String {
        match &self.previous {
            Some(previous) => format!("{} {previous}", self.holder),
            None => self.holder.to_string(),
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let (holder, previous) = match text.split_once(' ') {
            Some((holder, previous)) => (holder, Some(previous)),
            None => (text, None),
        };
        Ok(Self {
            holder: key::parse_key(holder)?,
            previous: previous.map(key::parse_key).transpose()?,
        })
    }
}

/// The note that binds one inquiry, and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingNote {
    name: String,
    expires_at: Timestamp,
}

impl BindingNote {
    /// Names the note of an inquiry. The first one under a code has the name that an earlier
    /// release knows.
    #[must_use]
    pub fn of(numbered: &Numbered) -> Self {
        let inquiry = &numbered.inquiry;
        let mut name = bound_name(&inquiry.account, &inquiry.inquiry_code);
        if numbered.number > 0 {
            // No code holds a blank.
            name = format!("{name} {}", numbered.number);
        }
        Self {
            name,
            expires_at: inquiry.expires_at,
        }
    }
}

/// Changes to whom an inquiry belongs, if that is still `from`; returns what it then
/// is.
///
/// # Errors
/// [`StoreError`] when that is not known.
pub async fn bind(
    store: &dyn Store,
    note: &BindingNote,
    from: Option<&Binding>,
    to: Binding,
    now: Timestamp,
) -> Result<Binding, StoreError> {
    let name = &note.name;
    let keep = keep(now, note.expires_at.max(now), INQUIRY_KEPT);
    let from = from.map(Binding::write);
    let text = to.write();
    match store.put_note(name, from.as_deref(), &text, keep).await? {
        CasResult::Done => Ok(to),
        CasResult::Conflict(Some(stored)) => Binding::read(&stored),
        // It ended, or was lost, since it was read.
        CasResult::Conflict(None) => Err(StoreError::Unavailable(format!("{name} is gone"))),
    }
}

/// To whom an inquiry belongs.
///
/// # Errors
/// [`StoreError`] when that is not known.
pub async fn bound_to(
    store: &dyn Store,
    note: &BindingNote,
) -> Result<Option<TransactionKey>, StoreError> {
    let stored = store.note(&note.name).await?;
    let binding = stored.map(|stored| Binding::read(&stored)).transpose()?;
    Ok(binding.map(|binding| binding.holder))
}

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
    change_inquired(store, key, now, |made| made.note(id)).await
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
    change_inquired(store, key, now, |made| made.note_answer(id, code, details)).await
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
    change_inquired(store, key, now, |made| made.forget(id)).await
}

async fn change_inquired(
    store: &dyn Store,
    key: &TransactionKey,
    now: Timestamp,
    change: impl Fn(&mut InquiriesMade),
) -> Result<(), StoreError> {
    let name = inquired_name(key);
    set(store, &name, keep(now, now, MARK_KEPT), |known| {
        let mut made = read_inquired(&name, known)?;
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
    let name = inquired_name(key);
    read_inquired(&name, store.note(&name).await?.as_deref())
}

fn read_inquired(name: &str, text: Option<&str>) -> Result<InquiriesMade, StoreError> {
    text.map_or(Ok(InquiriesMade::default()), |text| {
        serde_json::from_str(text).map_err(|_| corrupt(name))
    })
}

/// Reads the transactions for a customer's bills.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn of_bill(store: &dyn Store, customer: &Verbatim) -> Result<KeyList, StoreError> {
    KeyList::read(store, &bill_name(customer)).await
}

/// Lists a transaction as the last one for a customer's bill, in the place of `evicted`; `false`
/// when the list is no longer as it was read.
///
/// # Errors
/// [`StoreError`] when it may not be stored; then do not pay.
pub async fn list_last(
    store: &dyn Store,
    customer: &Verbatim,
    read: &KeyList,
    key: &TransactionKey,
    evicted: &[TransactionKey],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (name, keep) = (bill_name(customer), keep(now, now, MARK_KEPT));
    read.put_last(store, &name, key, evicted, keep).await
}

/// Makes a change of a note, again as long as somebody else was faster.
async fn set(
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

fn inquiry_name(account: &AccountName, code: &InquiryCode) -> String {
    format!("inquiry:{account}:{code}")
}

fn bound_name(account: &AccountName, code: &InquiryCode) -> String {
    format!("bound:{account}:{code}")
}

fn inquired_name(key: &TransactionKey) -> String {
    format!("inquired:{key}")
}

/// A customer has one number at a biller, whichever product code or account is used
/// to pay; the number itself stays out of the key.
fn bill_name(customer: &Verbatim) -> String {
    let digest = Sha256::digest(customer.as_str().to_ascii_lowercase());
    format!("bill:{}", hex::encode(&digest[..16]))
}

fn corrupt(name: &str) -> StoreError {
    StoreError::Corrupt {
        key: name.to_owned(),
        problem: "it cannot be read".to_owned(),
    }
}
