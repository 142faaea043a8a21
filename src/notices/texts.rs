//! OKEBAYAR's texts to the partner (docs/OKEBAYAR.md, section 3): a list of texts, a note with the mentions
//! of each text, and a note that bounds the number of new texts of an account.
//!
//! Texts that differ from purchase to purchase would push announcements out of the list, and each
//! would leave a note. So an account adds a bounded number of new texts a day, of which few differ
//! in their numbers only. A text that drops out of the list takes its note along.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    item::{from_json, to_json},
    pages::ListItem,
};
use crate::{
    store::{BoundedList, CasResult, Expiry, SealedItem, Store, StoreError},
    transaction::AccountName,
};

/// A notice: a text from OKEBAYAR to the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The account that received the text.
    pub account: AccountName,
    /// The text.
    pub text: String,
    /// The time of the first receipt.
    pub first: Timestamp,
    /// The time of the last receipt.
    pub last: Timestamp,
    /// The approximate number of receipts: simultaneous ones may count as one.
    pub count: u64,
}

impl ListItem for Notice {
    const LIST: BoundedList = BoundedList::Notices;

    fn account(&self) -> &AccountName {
        &self.account
    }
}

/// The last receipt and the number of receipts of a text: the part of a notice that changes.
#[derive(Serialize, Deserialize)]
struct MentionCount {
    last: Timestamp,
    count: u64,
}

/// The outcome of storing a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The text is new, and now in the list.
    Kept,
    /// The text is known, and its receipt is counted.
    Repeated,
    /// The text is new and not stored: the account has received too many new texts today.
    TooMany,
}

/// The time for which a notice is kept after its last receipt.
const NOTICE_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The largest number of new texts of an account in a day (UTC).
const NEW_MAX: u32 = 24;
/// The largest number of new texts in a day that differ only in words with digits.
const NEW_ALIKE_MAX: u32 = 3;
const DAY_SECONDS: i64 = 24 * 3600;
/// The time for which the number of new texts is kept: the day, and the difference between clocks.
const NEW_KEPT: SignedDuration = SignedDuration::from_hours(48);
/// The number of attempts to update a contended note.
const TRIES_MAX: usize = 8;

/// Stores a text once, and counts each further receipt.
///
/// # Errors
/// [`StoreError`] on an indeterminate result.
pub async fn add_notice(
    store: &dyn Store,
    account: &AccountName,
    text: &str,
    now: Timestamp,
) -> Result<NoticeOutcome, StoreError> {
    let name = mentions_note_name(account, text);
    let keep = Expiry {
        now,
        until: now.checked_add(NOTICE_KEPT).unwrap_or(now),
    };
    if let Some(known) = store.note(&name).await? {
        let MentionCount { last, count } = from_json(&known)?;
        let mentions = MentionCount {
            last: last.max(now),
            count: count.saturating_add(1),
        };
        // A conflict means that another gateway counted a receipt at the same moment.
        let counted = to_json(&mentions)?;
        store.put_note(&name, Some(&known), &counted, keep).await?;
        return Ok(NoticeOutcome::Repeated);
    }
    if !may_add(store, account, text, now).await? {
        return Ok(NoticeOutcome::TooMany);
    }
    let mentions = MentionCount {
        last: now,
        count: 1,
    };
    let put = store
        .put_note(&name, None, &to_json(&mentions)?, keep)
        .await?;
    if put != CasResult::Done {
        return Ok(NoticeOutcome::Repeated);
    }
    let notice = Notice {
        account: account.clone(),
        text: text.to_owned(),
        first: now,
        last: now,
        count: 1,
    };
    for dropped in store.push(BoundedList::Notices, &to_json(&notice)?).await? {
        delete_mentions(store, &dropped, now).await?;
    }
    Ok(NoticeOutcome::Kept)
}

/// The new texts of one account in one day.
#[derive(Serialize, Deserialize)]
struct DailyNewTexts {
    /// Days since 1970.
    day: i64,
    /// The number of new texts.
    count: u32,
    /// The number of new texts by form, which is the [`word_digest`].
    forms: BTreeMap<String, u32>,
}

/// Counts a new text; returns false when it exceeds a limit, or the note stays contended.
async fn may_add(
    store: &dyn Store,
    account: &AccountName,
    text: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let name = format!("notices-new:{account}");
    let (day, form) = (now.as_second().div_euclid(DAY_SECONDS), word_digest(text));
    let keep = Expiry {
        now,
        until: now.checked_add(NEW_KEPT).unwrap_or(now),
    };
    let mut known = store.note(&name).await?;
    for _ in 0..TRIES_MAX {
        let new: Option<DailyNewTexts> = known.as_deref().map(from_json).transpose()?;
        // A gateway whose clock is ahead starts the next day for all gateways. Otherwise each
        // gateway would restart its own day with every text.
        let is_current = |new: &DailyNewTexts| (day..=day + 1).contains(&new.day);
        let mut new = new.filter(is_current).unwrap_or(DailyNewTexts {
            day,
            count: 0,
            forms: BTreeMap::new(),
        });
        let alike = new.forms.entry(form.clone()).or_default();
        if new.count >= NEW_MAX || *alike >= NEW_ALIKE_MAX {
            return Ok(false);
        }
        *alike += 1;
        new.count += 1;
        let put = store
            .put_note(&name, known.as_deref(), &to_json(&new)?, keep)
            .await?;
        match put {
            CasResult::Done => return Ok(true),
            CasResult::Conflict(stored) => known = stored,
        }
    }
    Ok(false)
}

/// Returns the digest of a text without the words that contain digits.
fn word_digest(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    let is_plain = |word: &&str| !word.is_empty() && !word.contains(|c: char| c.is_numeric());
    let words: Vec<String> = words.filter(is_plain).map(str::to_lowercase).collect();
    hex::encode(&Sha256::digest(words.join(" "))[..8])
}

/// Parses an item of [`BoundedList::Notices`].
///
/// # Errors
/// [`StoreError::Corrupt`] when the item is malformed.
pub fn parse(item: &str) -> Result<Notice, StoreError> {
    from_json(item)
}

/// Deletes the mentions of a notice that dropped out of the list: its next receipt is a new notice.
///
/// # Errors
/// [`StoreError`] on an indeterminate result, or when the item is malformed.
pub async fn delete_mentions(
    store: &dyn Store,
    dropped: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let notice: Notice = from_json(dropped)?;
    let name = mentions_note_name(&notice.account, &notice.text);
    let keep = Expiry {
        now,
        until: IN_THE_PAST,
    };
    let mut known = store.note(&name).await?;
    for _ in 0..TRIES_MAX {
        let Some(mentions) = known else { break };
        match store
            .put_note(&name, Some(&mentions), &mentions, keep)
            .await?
        {
            CasResult::Done => break,
            CasResult::Conflict(stored) => known = stored,
        }
    }
    Ok(())
}

/// The expiry that deletes a note when it is written. Redis accepts no earlier time.
const IN_THE_PAST: Timestamp = Timestamp::constant(1, 0);

/// Reads up to `limit` notices after the newest `start`, with the counts of their first receipt.
/// The newest by first receipt comes first.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn notices(
    store: &dyn Store,
    start: usize,
    limit: usize,
) -> Result<Vec<Notice>, StoreError> {
    let items = store.items_from(BoundedList::Notices, start, limit).await?;
    let parse = |item: Result<String, SealedItem>| from_json(&item.map_err(|sealed| sealed.error)?);
    items.into_iter().map(parse).collect()
}

/// Reads the present mentions of a notice into it.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub async fn counted(store: &dyn Store, mut notice: Notice) -> Result<Notice, StoreError> {
    let name = mentions_note_name(&notice.account, &notice.text);
    if let Some(mentions) = store.note(&name).await? {
        let MentionCount { last, count } = from_json(&mentions)?;
        (notice.last, notice.count) = (last, count);
    }
    Ok(notice)
}

/// Returns the name of the note with a text's mentions.
fn mentions_note_name(account: &AccountName, text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("notice:{account}:{}", hex::encode(&digest[..16]))
}
