//! What OKEBAYAR says beside the transactions: callbacks about unknown reference
//! codes, and texts to the partner (API page, section 3).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Keep, List, Put, Store, StoreError};
use crate::transaction::{AccountName, ReferenceCode};

/// A callback about a reference code that the store does not know: it may reveal
/// a lost claim. It holds no serial number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The account whose callback address was called.
    pub account: AccountName,
    /// The reference code as it came, cut to 64 characters.
    pub reference_code: String,
    /// The status as it came, cut to 16 characters.
    pub status: String,
    /// When it came.
    pub at: Timestamp,
}

/// Keeps an orphan.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn add_orphan(store: &dyn Store, orphan: &Orphan) -> Result<(), StoreError> {
    store.push(List::Orphans, &write(orphan)?).await
}

/// The orphans, newest first.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn orphans(store: &dyn Store) -> Result<Vec<Orphan>, StoreError> {
    let items = store.items(List::Orphans).await?;
    items.iter().map(|item| read(item)).collect()
}

/// What a status check of an orphan's reference code brought. It holds no serial number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanCheck {
    /// When it was made.
    pub at: Timestamp,
    /// The status code that OKEBAYAR answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it brought nothing; neither while it is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How long what a check brought is kept, and how long after one that brought nothing
/// another one may be made.
const CHECK_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
const CHECK_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Claims the check of a reference code, which one of all gateways makes. `None` when it
/// is made, or being made.
///
/// # Errors
/// [`StoreError`] when the claim may not be stored.
pub async fn claim_orphan_check(
    store: &dyn Store,
    account: &AccountName,
    reference: &ReferenceCode,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let name = check_of(account, reference.as_str());
    let known = store.note(&name).await?;
    if let Some(known) = &known {
        let known: OrphanCheck = read(known)?;
        if known.status.is_some() || now.duration_since(known.at) < CHECK_AGAIN_AFTER {
            return Ok(None);
        }
    }
    let claim = write(&OrphanCheck {
        at: now,
        status: None,
        problem: None,
    })?;
    let put = store
        .put_note(&name, known.as_deref(), &claim, check_kept(now))
        .await?;
    Ok((put == Put::Done).then_some(claim))
}

/// Keeps what a check brought, over its claim.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn keep_orphan_check(
    store: &dyn Store,
    account: &AccountName,
    reference: &ReferenceCode,
    claim: &str,
    check: &OrphanCheck,
) -> Result<(), StoreError> {
    let name = check_of(account, reference.as_str());
    let kept = check_kept(check.at);
    // A conflict means that another gateway claimed it since, and will keep its own.
    store
        .put_note(&name, Some(claim), &write(check)?, kept)
        .await
        .map(drop)
}

/// Returns the result of the check of an orphan's reference code; `None` when none was made.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub async fn orphan_check(
    store: &dyn Store,
    orphan: &Orphan,
) -> Result<Option<OrphanCheck>, StoreError> {
    let name = check_of(&orphan.account, &orphan.reference_code);
    let check: Option<OrphanCheck> = match store.note(&name).await? {
        Some(text) => Some(read(&text)?),
        None => None,
    };
    Ok(check.filter(|check| check.status.is_some() || check.problem.is_some()))
}

fn check_kept(now: Timestamp) -> Keep {
    Keep {
        now,
        until: now.checked_add(CHECK_KEPT).unwrap_or(now),
    }
}

/// Returns the name of the note of a check: one for all spellings of a reference code.
fn check_of(account: &AccountName, reference: &str) -> String {
    let letters = reference.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: Vec<u8> = letters.map(|byte| byte.to_ascii_lowercase()).collect();
    let digest = Sha256::digest(letters);
    format!("orphan:{account}:{}", hex::encode(&digest[..16]))
}

/// A text of OKEBAYAR's to the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The account that was told.
    pub account: AccountName,
    /// The text.
    pub text: String,
    /// When it first came.
    pub first: Timestamp,
    /// When it last came.
    pub last: Timestamp,
    /// How often it came, about: mentions at the same moment may count as one.
    pub count: u64,
}

/// What of a notice changes.
#[derive(Serialize, Deserialize)]
struct Mentions {
    last: Timestamp,
    count: u64,
}

/// How long a notice that is not repeated is kept.
const NOTICE_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Keeps a text, once however often it comes.
///
/// # Errors
/// [`StoreError`] when it may not be stored.
pub async fn add_notice(
    store: &dyn Store,
    account: &AccountName,
    text: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = mentions_of(account, text);
    let keep = Keep {
        now,
        until: now.checked_add(NOTICE_KEPT).unwrap_or(now),
    };
    let known = store.note(&name).await?;
    let mut mentions = Mentions {
        last: now,
        count: 1,
    };
    if let Some(known) = &known {
        let Mentions { last, count } = read(known)?;
        mentions = Mentions {
            last: last.max(now),
            count: count.saturating_add(1),
        };
    }
    let put = store
        .put_note(&name, known.as_deref(), &write(&mentions)?, keep)
        .await?;
    if known.is_none() && put == Put::Done {
        let notice = Notice {
            account: account.clone(),
            text: text.to_owned(),
            first: now,
            last: now,
            count: 1,
        };
        store.push(List::Notices, &write(&notice)?).await?;
    }
    Ok(())
}

/// The notices; the one that first came last is the first.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn notices(store: &dyn Store) -> Result<Vec<Notice>, StoreError> {
    let items = store.items(List::Notices).await?;
    let complete = items.iter().map(async |item| {
        let mut notice: Notice = read(item)?;
        let name = mentions_of(&notice.account, &notice.text);
        if let Some(mentions) = store.note(&name).await? {
            let Mentions { last, count } = read(&mentions)?;
            (notice.last, notice.count) = (last, count);
        }
        Ok(notice)
    });
    futures::future::try_join_all(complete).await
}

fn mentions_of(account: &AccountName, text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("notice:{account}:{}", hex::encode(&digest[..16]))
}

fn write(item: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(item).map_err(|error| unreadable(&error))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt {
        key: "an item of the inbox".to_owned(),
        problem: format!("it cannot be read (column {})", error.column()),
    }
}
