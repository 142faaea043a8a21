//! The walks of a verification.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{
    checks::check,
    events,
    report::{Inconsistency, VerificationReport},
};
use crate::{
    ambient::Ambient,
    cli::store::{
        copy::{Progress, count_records},
        opening::open,
    },
    config::Settings,
    failover::carried::seal_faults,
    store::{BoundedList, OpenMode, OpenedStore, StoreError, WalkPart, Walked},
};

/// The number of entries that are checked concurrently.
const AT_ONCE: usize = 128;
/// The number of further reads after which an inconsistency is reported, and the pause before each.
const REREADS: usize = 3;
const REREAD_AFTER: Duration = Duration::from_millis(200);

const IDENTITY: &str = "of the store itself: see docs/OPERATIONS.md, the identity of a store and the \
     failover guard";
const LISTS: &str = "lists that cannot be read: restore the store from a backup";

/// The error of a store that cannot be read to the end, so that nothing is known of it.
#[derive(Debug, thiserror::Error)]
#[error("the store was not verified")]
pub(in crate::cli) struct Unverified;

/// Runs the command, and returns its report.
///
/// # Errors
/// [`Unverified`] when the store cannot be read; the report when it is inconsistent.
pub(in crate::cli::store) async fn run(settings: &Settings, ambient: Ambient) -> Result<String> {
    let report = read(settings, ambient).await.context(Unverified)?;
    if report.count() > 0 {
        bail!("{report}");
    }
    Ok(report.to_string())
}

/// Reads everything, and returns the report.
async fn read(settings: &Settings, ambient: Ambient) -> Result<VerificationReport> {
    let opened = open(&settings.store, ambient, OpenMode::Inspect).await?;
    let mut report = VerificationReport::default();
    report.add_all(read_again(async || faults_of_store(&opened).await).await?);
    for (part, kind) in [
        (WalkPart::Records, "records"),
        (WalkPart::Listing, "entries of the listing"),
        (WalkPart::Due, "entries of due indexes"),
        (WalkPart::Traces, "trace codes"),
        (WalkPart::Notes, "notes"),
        (WalkPart::Tombstones, "tombstones"),
    ] {
        walk(&opened, part, kind, ambient.now, &mut report).await?;
    }
    events::walk(&opened, &mut report).await?;
    Ok(report)
}

/// Checks every entry of one part.
async fn walk(
    opened: &OpenedStore,
    part: WalkPart,
    kind: &'static str,
    now: fn() -> Timestamp,
    report: &mut VerificationReport,
) -> Result<()> {
    let records = match part {
        WalkPart::Records | WalkPart::Listing => Some(count_records(&*opened.store()).await?),
        _ => None,
    };
    let mut progress = Progress::begin(kind, records);
    let mut from = None;
    loop {
        let now = now();
        let page = opened.walk(part, from.as_deref(), now).await?;
        for entries in page.entries.chunks(AT_ONCE) {
            let checking = entries
                .iter()
                .map(async |entry| check_stable(opened, entry, now).await);
            report.add_all(try_join_all(checking).await?.into_iter().flatten());
            progress.add(entries.len() as u64);
        }
        *report.read.entry(kind).or_default() += page.entries.len() as u64;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// Checks an entry; what is inconsistent is read again.
async fn check_stable(
    opened: &OpenedStore,
    entry: &Walked,
    now: Timestamp,
) -> Result<Vec<Inconsistency>, StoreError> {
    let check_now = async || {
        let found = check(opened, entry, now).await?;
        // A record, or an entry of an index, may be gone since it was visited.
        if !found.is_empty() && !opened.still_holds(entry).await? {
            return Ok(Vec::new());
        }
        Ok(found)
    };
    read_again(check_now).await
}

/// Returns what every one of some reads finds inconsistent.
async fn read_again(
    read: impl AsyncFn() -> Result<Vec<Inconsistency>, StoreError>,
) -> Result<Vec<Inconsistency>, StoreError> {
    let mut found = read().await?;
    for _ in 0..REREADS {
        if found.is_empty() {
            break;
        }
        tokio::time::sleep(REREAD_AFTER).await;
        let again = read().await?;
        found.retain(|one| again.contains(one));
    }
    Ok(found)
}

/// Returns the faults of the identity, the seals and the lists.
async fn faults_of_store(opened: &OpenedStore) -> Result<Vec<Inconsistency>, StoreError> {
    let store = opened.store();
    let mut found = Vec::new();
    let mut add = |key: &str, problem: String, remedy| {
        found.push(Inconsistency {
            key: key.to_owned(),
            problem,
            remedy,
        });
    };
    for fault in opened.identity_faults().await? {
        add("identity", fault, IDENTITY);
    }
    for fault in seal_faults(&*store).await? {
        add("seals", fault, IDENTITY);
    }
    for list in BoundedList::ALL {
        match store.items(list).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => add("lists", error.to_string(), LISTS),
            Ok(items) => {
                let is_json =
                    |item: &String| serde_json::from_str::<serde::de::IgnoredAny>(item).is_ok();
                let unreadable = items.iter().filter(|item| !is_json(item)).count();
                if unreadable > 0 {
                    add(
                        "lists",
                        format!("{unreadable} items of {list:?} cannot be read"),
                        LISTS,
                    );
                }
            }
        }
    }
    Ok(found)
}
