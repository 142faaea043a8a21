//! Orphans: callbacks about unknown reference codes, and inquiries that OKEBAYAR may have sold
//! and that no transaction can stand for.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::item::{from_json, to_json};
use crate::store::{Keep, List, Put, Store, StoreError};
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
    store.push(List::Orphans, &to_json(orphan)?).await.map(drop)
}

/// Returns up to `limit` orphans, newest first, after the newest `start`.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn orphans(
    store: &dyn Store,
    start: usize,
    limit: usize,
) -> Result<Vec<Orphan>, StoreError> {
    let items = store.items_from(List::Orphans, start, limit).await?;
    items.iter().map(|item| from_json(item)).collect()
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
const RECHECK_AFTER: SignedDuration = SignedDuration::from_mins(1);

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
    let name = check_note_name(account, reference.as_str());
    let known = store.note(&name).await?;
    if let Some(known) = &known {
        let known: OrphanCheck = from_json(known)?;
        if known.status.is_some() || now.duration_since(known.at) < RECHECK_AFTER {
            return Ok(None);
        }
    }
    let claim = to_json(&OrphanCheck {
        at: now,
        status: None,
        problem: None,
    })?;
    let put = store
        .put_note(&name, known.as_deref(), &claim, keep_check(now))
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
    let name = check_note_name(account, reference.as_str());
    let kept = keep_check(check.at);
    // A conflict means that another gateway claimed it since, and will keep its own.
    store
        .put_note(&name, Some(claim), &to_json(check)?, kept)
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
    let name = check_note_name(&orphan.account, &orphan.reference_code);
    let check: Option<OrphanCheck> = match store.note(&name).await? {
        Some(text) => Some(from_json(&text)?),
        None => None,
    };
    Ok(check.filter(|check| check.status.is_some() || check.problem.is_some()))
}

fn keep_check(now: Timestamp) -> Keep {
    Keep {
        now,
        until: now.checked_add(CHECK_KEPT).unwrap_or(now),
    }
}

/// Returns the name of the note of a check: one for all spellings of a reference code.
fn check_note_name(account: &AccountName, reference: &str) -> String {
    let letters = reference.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: Vec<u8> = letters.map(|byte| byte.to_ascii_lowercase()).collect();
    let digest = Sha256::digest(letters);
    format!("orphan:{account}:{}", hex::encode(&digest[..16]))
}
