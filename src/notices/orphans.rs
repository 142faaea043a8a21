//! Orphans: callbacks about unknown reference codes, and sales that OKEBAYAR may have made of an
//! inquiry and that no transaction can represent.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    item::{from_json, to_json},
    pages::ListItem,
};
use crate::store::{BoundedList, CasResult, Expiry, SealedItem, Store, StoreError};
use crate::transaction::{AccountName, ReferenceCode};

/// A callback about an unknown reference code, which may reveal a lost claim. It holds no serial
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The account whose callback address was called.
    pub account: AccountName,
    /// The reference code as received, cut to 64 characters.
    pub reference_code: String,
    /// The status as received, cut to 16 characters.
    pub status: String,
    /// The time of receipt.
    pub at: Timestamp,
}

impl ListItem for Orphan {
    const LIST: BoundedList = BoundedList::Orphans;

    fn account(&self) -> &AccountName {
        &self.account
    }
}

/// Stores an orphan.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
pub async fn add_orphan(store: &dyn Store, orphan: &Orphan) -> Result<(), StoreError> {
    store
        .push(BoundedList::Orphans, &to_json(orphan)?)
        .await
        .map(drop)
}

/// Reads up to `limit` orphans, newest first, after the newest `start`.
///
/// # Errors
/// [`StoreError`] when one of them cannot be read.
pub async fn orphans(
    store: &dyn Store,
    start: usize,
    limit: usize,
) -> Result<Vec<Orphan>, StoreError> {
    let items = store.items_from(BoundedList::Orphans, start, limit).await?;
    let parse = |item: Result<String, SealedItem>| from_json(&item.map_err(|sealed| sealed.error)?);
    items.into_iter().map(parse).collect()
}

/// Parses an item of [`BoundedList::Orphans`].
///
/// # Errors
/// [`StoreError::Corrupt`] when the item is malformed.
pub fn parse(item: &str) -> Result<Orphan, StoreError> {
    from_json(item)
}

/// The result of a status check of an orphan's reference code. It holds no serial number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanCheck {
    /// The time of the check.
    pub at: Timestamp,
    /// The status code in OKEBAYAR's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The reason why the check was inconclusive. While the check is in flight, neither is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The time for which the result of a check is kept.
const CHECK_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The time after an inconclusive check from which another one may be made.
const RECHECK_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Acquires the claim on the check of a reference code, which only one gateway may make. `None`
/// when the check is made, in flight, or was inconclusive a moment ago.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
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
    Ok((put == CasResult::Done).then_some(claim))
}

/// Replaces the claim on a check by the result of the check.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
pub async fn keep_orphan_check(
    store: &dyn Store,
    account: &AccountName,
    reference: &ReferenceCode,
    claim: &str,
    check: &OrphanCheck,
) -> Result<(), StoreError> {
    let name = check_note_name(account, reference.as_str());
    let kept = keep_check(check.at);
    // A conflict means that another gateway has claimed the check since, and stores its own result.
    store
        .put_note(&name, Some(claim), &to_json(check)?, kept)
        .await
        .map(drop)
}

/// Reads the result of the check of an orphan's reference code; `None` when no check has ended.
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

/// Returns the expiry of a check's note.
fn keep_check(now: Timestamp) -> Expiry {
    Expiry {
        now,
        until: now.checked_add(CHECK_KEPT).unwrap_or(now),
    }
}

/// Returns the name of a check's note, which is the same for all spellings of a reference code.
fn check_note_name(account: &AccountName, reference: &str) -> String {
    let letters = reference.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: Vec<u8> = letters.map(|byte| byte.to_ascii_lowercase()).collect();
    let digest = Sha256::digest(letters);
    format!("orphan:{account}:{}", hex::encode(&digest[..16]))
}
