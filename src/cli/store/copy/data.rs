//! The data of a copy. Each part may be copied again: what is there already stays.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};

use super::progress::Progress;
use crate::{
    failover::known_epoch::NOTE,
    store::{
        BoundedList, CasResult, Commit, Expiry, ListingEntry, OpenedStore, Store, StoreError,
        WalkPart, Walked, key::parse_key,
    },
    transaction::{Change, State, Transaction},
};

/// The number of records that are copied concurrently.
const AT_ONCE: usize = 256;
/// The number of unreadable records that are named.
const NAMED_MAX: usize = 10;
/// The number of attempts at one write.
const TRIES_MAX: u32 = 5;
/// The time for which a note without an end is kept.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// What was copied.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Records, those that were in the target already included.
    pub(super) records: u64,
    /// Records that were in the target already.
    pub(super) unchanged: u64,
    pub(super) notes: u64,
    pub(super) items: u64,
    pub(super) tombstones: u64,
}

/// Copies everything.
pub(super) async fn copy(
    source: &OpenedStore,
    target: &OpenedStore,
    now: Timestamp,
) -> Result<Copied> {
    let mut copied = Copied::default();
    // Before the records: of a record that is retired meanwhile, none is missing.
    copy_records(source, target, now, &mut copied).await?;
    copied.notes = copy_notes(source, target, now).await?;
    for list in BoundedList::ALL {
        copied.items += copy_list(&*source.store(), &*target.store(), list).await?;
    }
    copied.tombstones = copy_tombstones(source, target, now).await?;
    Ok(copied)
}

/// Counts the records by the listing: approximately, where that is damaged.
pub(in crate::cli::store) async fn count_records(store: &dyn Store) -> Result<u64, StoreError> {
    let counts = State::NAMES.map(|state| store.count(state, 0, ListingEntry::MS_MAX));
    Ok(try_join_all(counts).await?.into_iter().sum())
}

async fn copy_records(
    source: &OpenedStore,
    target: &OpenedStore,
    now: Timestamp,
    copied: &mut Copied,
) -> Result<()> {
    let (from_store, to_store) = (source.store(), target.store());
    let total = count_records(&*from_store).await?;
    let mut progress = Progress::begin("records", Some(total));
    let mut unreadable = Vec::new();
    let mut from = None;
    loop {
        let page = source.walk(WalkPart::Records, from.as_deref(), now).await?;
        for entries in page.entries.chunks(AT_ONCE) {
            let copying = entries.iter().map(async |entry| {
                let Walked::Record(name) = entry else {
                    return Ok(None);
                };
                match from_store.load(&parse_key(name)?).await? {
                    Some(record) => copy_record(&*to_store, &record).await.map(Some),
                    // It lies where no gateway looks for it: verify reports it.
                    None => Ok(None),
                }
            });
            for done in join_all(copying).await {
                match done {
                    Ok(Some(is_new)) => {
                        copied.records += 1;
                        copied.unchanged += u64::from(!is_new);
                    }
                    Ok(None) => {}
                    Err(error) if is_of_record(&error) => unreadable.push(error.to_string()),
                    Err(error) => return Err(error).context("the copy is not finished"),
                }
            }
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    ensure!(
        unreadable.is_empty(),
        "{} records cannot be read, so the copy is not finished: {}. Repair them (okebayar-gateway \
         store verify names all), or return with okebayar-gateway store copy --cancel",
        unreadable.len(),
        unreadable[..unreadable.len().min(NAMED_MAX)].join("; ")
    );
    Ok(())
}

/// Returns true for an error that is of one record, not of the store.
fn is_of_record(error: &StoreError) -> bool {
    !error.is_transient() && !matches!(error, StoreError::Unsuitable(_))
}

/// Copies a record with its trace codes. Returns false when the target has it already.
async fn copy_record(to: &dyn Store, record: &Arc<Transaction>) -> Result<bool, StoreError> {
    let (key, account) = (record.key(), record.account());
    for trace_code in record.trace_codes() {
        retried(async || to.index_trace(&key, account, &trace_code).await).await?;
    }
    let mut change = Change {
        transaction: Arc::clone(record),
        from: None,
        is_event: false,
        releases: None,
    };
    loop {
        // A repeated commit conflicts with itself.
        match retried(async || to.commit(&change, None).await).await? {
            Commit::Done => return Ok(true),
            Commit::Conflict(Some(stored)) if stored == *record => {
                return Ok(false);
            }
            // The source changed between two runs.
            Commit::Conflict(Some(stored)) => change.from = Some(stored.base()),
            Commit::Conflict(None) => change.from = None,
            Commit::OtherEpoch => {
                return Err(StoreError::Unsuitable(
                    "the target does not accept the record".to_owned(),
                ));
            }
        }
    }
}

/// Repeats an idempotent write after a transient failure.
async fn retried<T>(write: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut tries = 1;
    loop {
        match write().await {
            Err(error) if error.is_transient() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

async fn copy_notes(source: &OpenedStore, target: &OpenedStore, now: Timestamp) -> Result<u64> {
    let (from_store, to_store) = (source.store(), target.store());
    let mut progress = Progress::begin("notes", None);
    let (mut count, mut from) = (0, None);
    loop {
        let page = source.walk(WalkPart::Notes, from.as_deref(), now).await?;
        let copying = page.entries.iter().map(async |entry| {
            let Walked::Note { name, until } = entry else {
                return Ok(0);
            };
            // The target has an epoch, and so a note of it, of its own.
            if name == NOTE || until.is_some_and(|until| until <= now) {
                return Ok(0);
            }
            let Some(text) = from_store.note(name).await? else {
                return Ok(0);
            };
            let end = until.or_else(|| now.checked_add(FOR_EVER).ok());
            let until = end.unwrap_or(Timestamp::MAX);
            copy_note(&*to_store, name, &text, Expiry { now, until }).await
        });
        let done = try_join_all(copying).await;
        count += done
            .context("the copy is not finished")?
            .into_iter()
            .sum::<u64>();
        progress.add(page.entries.len() as u64);
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(count),
        }
    }
}

async fn copy_note(
    to: &dyn Store,
    name: &str,
    text: &str,
    keep: Expiry,
) -> Result<u64, StoreError> {
    let mut known: Option<String> = None;
    loop {
        let from = known.as_deref();
        match retried(async || to.put_note(name, from, text, keep).await).await? {
            CasResult::Done => return Ok(1),
            CasResult::Conflict(Some(stored)) if stored == text => return Ok(1),
            CasResult::Conflict(stored) => known = stored,
        }
    }
}

/// Copies a list. The items that the target has are the oldest ones of an interrupted run.
async fn copy_list(from: &dyn Store, to: &dyn Store, list: BoundedList) -> Result<u64> {
    let mut items = from.items(list).await?;
    let mut there = to.items(list).await?;
    items.reverse();
    there.reverse();
    if !items.starts_with(&there) {
        bail!("a list of the target holds other items than the configured store: empty the target");
    }
    for item in &items[there.len()..] {
        // Not repeated: an indeterminate push may have happened, which the next run sees.
        to.push(list, item)
            .await
            .context("the copy is not finished; run it again")?;
    }
    Ok(items.len() as u64)
}

async fn copy_tombstones(
    source: &OpenedStore,
    target: &OpenedStore,
    now: Timestamp,
) -> Result<u64> {
    let mut progress = Progress::begin("tombstones", None);
    let (mut count, mut from) = (0, None);
    loop {
        let page = source
            .walk(WalkPart::Tombstones, from.as_deref(), now)
            .await?;
        let copying = page.entries.iter().map(async |entry| {
            let Walked::Tombstone { hash, text } = entry else {
                return Ok(());
            };
            retried(async || target.put_tombstone(hash, text).await).await
        });
        let done = try_join_all(copying).await;
        done.context("the copy is not finished")?;
        count += page.entries.len() as u64;
        progress.add(page.entries.len() as u64);
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(count),
        }
    }
}
