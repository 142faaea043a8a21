//! The notes, lists and tombstones of a copy. Each may be copied again: what is there already stays.

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;

use super::{
    progress::Progress,
    transfer::{AT_ONCE, Transfer, expiry_of, retried},
};
use crate::{
    failover::known_epoch::NOTE,
    store::{BoundedList, CasResult, Expiry, Store, StoreError, WalkPart, Walked},
};

/// Copies the notes, and returns their number.
pub(super) async fn copy_notes(copy: &Transfer<'_>) -> Result<u64> {
    let (from, to) = (copy.source.store(), copy.target.store());
    let mut progress = Progress::begin("notes", None);
    let (mut count, mut next) = (0, None);
    loop {
        // The time left of a note counts from the reading of its page.
        let now = (copy.now)();
        let page = copy.source.walk(WalkPart::Notes, next.as_deref(), now);
        let page = page.await?;
        for entries in page.entries.chunks(AT_ONCE) {
            copy.require_marked().await?;
            let copying = entries.iter().map(async |entry| {
                let Some((name, keep)) = copied_note(entry, now) else {
                    return Ok(0);
                };
                match from.note(name).await? {
                    Some(text) => copy_note(&*to, name, &text, keep).await,
                    None => Ok(0),
                }
            });
            let done = try_join_all(copying).await;
            let done = done.context("the copy is not finished")?;
            count += done.into_iter().sum::<u64>();
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(place) => next = Some(place),
            None => return Ok(count),
        }
    }
}

/// Returns the name of a note that is copied, and its expiry. The target has an epoch, and so a note
/// of it, of its own.
pub(super) fn copied_note(entry: &Walked, now: jiff::Timestamp) -> Option<(&str, Expiry)> {
    match entry {
        Walked::Note { name, until } if name != NOTE => Some((name, expiry_of(*until, now)?)),
        _ => None,
    }
}

async fn copy_note(
    to: &dyn Store,
    name: &str,
    text: &str,
    keep: Expiry,
) -> Result<u64, StoreError> {
    match retried(async || to.put_note(name, None, text, keep).await).await? {
        CasResult::Done => Ok(1),
        CasResult::Conflict(Some(stored)) if stored == text => Ok(1),
        CasResult::Conflict(_) => Err(StoreError::Unsuitable(format!(
            "the target holds another text of the note {name} than the configured store: it may be in \
             use, and nothing in it is replaced. If it is not, return with okebayar-gateway store copy \
             --cancel, empty the target, and copy again"
        ))),
    }
}

/// Copies the lists, and returns the number of their items.
pub(super) async fn copy_lists(copy: &Transfer<'_>) -> Result<u64> {
    let mut count = 0;
    for list in BoundedList::ALL {
        count += copy_list(copy, list).await?;
    }
    Ok(count)
}

/// Copies a list. The items that the target has are the oldest ones of an interrupted run.
async fn copy_list(copy: &Transfer<'_>, list: BoundedList) -> Result<u64> {
    let mut items = copy.source.store().items(list).await?;
    let to = copy.target.store();
    let mut there = to.items(list).await?;
    items.reverse();
    there.reverse();
    if !items.starts_with(&there) {
        bail!("a list of the target holds other items than the configured store: empty the target");
    }
    for items in items[there.len()..].chunks(AT_ONCE) {
        copy.require_marked().await?;
        for item in items {
            // Not repeated: an indeterminate push may have happened, which the next run sees.
            let pushed = to.push(list, item).await;
            pushed.context("the copy is not finished; run it again")?;
        }
    }
    Ok(items.len() as u64)
}

/// Copies the tombstones, and returns their number.
pub(super) async fn copy_tombstones(copy: &Transfer<'_>) -> Result<u64> {
    let mut progress = Progress::begin("tombstones", None);
    let (mut count, mut next) = (0, None);
    loop {
        let page = copy
            .source
            .walk(WalkPart::Tombstones, next.as_deref(), (copy.now)());
        let page = page.await?;
        for entries in page.entries.chunks(AT_ONCE) {
            copy.require_marked().await?;
            let copying = entries.iter().map(async |entry| {
                let Walked::Tombstone { hash, text, .. } = entry else {
                    return Ok(());
                };
                retried(async || copy.target.put_tombstone(hash, text).await).await
            });
            let done = try_join_all(copying).await;
            done.context("the copy is not finished")?;
            count += entries.len() as u64;
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(place) => next = Some(place),
            None => return Ok(count),
        }
    }
}
