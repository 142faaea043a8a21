//! The comparison of source and target after a copy: the target has as many records as the source, each
//! one as it is there, and every note, list and tombstone. So it also finds what the target lost while
//! it was filled.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use jiff::SignedDuration;

use super::{
    progress::Progress,
    records::{RecordNames, count_records},
    remains::copied_note,
    transfer::{AT_ONCE, Transfer},
};
use crate::{
    store::{BoundedList, ListingEntry, StoreError, WalkPart, Walked, key::parse_key},
    transaction::State,
};

/// The result of a comparison.
pub(super) struct Compared {
    /// The records of the target.
    pub(super) records: u64,
    /// The states of which the listings of both stores have different numbers.
    pub(super) unlike_listings: Vec<String>,
}

/// Compares everything. `names` are the records of the source.
pub(super) async fn compare(copy: &Transfer<'_>, names: &RecordNames) -> Result<Compared> {
    compare_records(copy, names).await?;
    compare_part(copy, WalkPart::Notes, "notes").await?;
    compare_part(copy, WalkPart::Tombstones, "tombstones").await?;
    for list in BoundedList::ALL {
        let items = copy.source.store().items(list).await?;
        ensure!(
            items == copy.target.store().items(list).await?,
            "a list of the target differs from that of the configured store; run the copy again"
        );
    }
    Ok(Compared {
        records: names.count(),
        unlike_listings: unlike_listings(copy).await?,
    })
}

async fn compare_records(copy: &Transfer<'_>, names: &RecordNames) -> Result<()> {
    let (ours, theirs) = (copy.source.store(), copy.target.store());
    let total = count_records(&*theirs).await?;
    let mut progress = Progress::begin("comparison", Some(total));
    let (mut found, mut next) = (RecordNames::default(), None);
    loop {
        let page = copy
            .target
            .walk(WalkPart::Records, next.as_deref(), (copy.now)());
        let page = page.await?;
        for entries in page.entries.chunks(AT_ONCE) {
            let comparing = entries.iter().map(async |entry| {
                let Walked::Record { name, .. } = entry else {
                    return Ok(None);
                };
                let key = parse_key(name)?;
                let (from, to) =
                    futures::future::try_join(ours.load(&key), theirs.load(&key)).await?;
                Ok::<_, StoreError>((from.is_none() || from != to).then(|| name.clone()))
            });
            let compared = try_join_all(comparing).await;
            let different: Vec<String> = compared
                .context(UNFINISHED)?
                .into_iter()
                .flatten()
                .collect();
            require_same("records", &different)?;
            for entry in entries {
                if let Walked::Record { name, .. } = entry {
                    found.insert(name);
                }
            }
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(place) => next = Some(place),
            None => break,
        }
    }
    let (ours, theirs) = (names.count(), found.count());
    ensure!(
        ours == theirs,
        "the configured store has {ours} records, the target {theirs}; run the copy again"
    );
    Ok(())
}

/// The time left of a note below which it is not compared.
const ENDS_SOON: SignedDuration = SignedDuration::from_mins(1);

const UNFINISHED: &str = "the comparison is not finished; run the copy again";

/// Compares the notes, or the tombstones, of the source with those of the target.
async fn compare_part(copy: &Transfer<'_>, part: WalkPart, kind: &'static str) -> Result<()> {
    let mut progress = Progress::begin(kind, None);
    let mut next = None;
    loop {
        let page = copy.source.walk(part, next.as_deref(), (copy.now)());
        let page = page.await?;
        for entries in page.entries.chunks(AT_ONCE) {
            let comparing = entries.iter().map(|entry| difference(copy, entry));
            let compared = try_join_all(comparing).await;
            let different: Vec<String> = compared
                .context(UNFINISHED)?
                .into_iter()
                .flatten()
                .collect();
            require_same(kind, &different)?;
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(place) => next = Some(place),
            None => return Ok(()),
        }
    }
}

/// Returns the name of an entry of the source that differs in the target.
async fn difference(copy: &Transfer<'_>, entry: &Walked) -> Result<Option<String>, StoreError> {
    if let Walked::Tombstone { hash, text, .. } = entry {
        let there = copy.target.tombstone_text(hash).await?;
        return Ok((there.as_ref() != Some(text)).then(|| hex::encode(hash)));
    }
    let now = (copy.now)();
    let Some((name, keep)) = copied_note(entry, now) else {
        return Ok(None);
    };
    // The clocks of two servers differ, so one that ends soon may be gone from either.
    if keep.until.duration_since(now) < ENDS_SOON {
        return Ok(None);
    }
    let there = copy.target.store().note(name).await?;
    let here = copy.source.store().note(name).await?;
    Ok((here.is_some() && here != there).then(|| name.to_owned()))
}

fn require_same(kind: &str, different: &[String]) -> Result<()> {
    ensure!(
        different.is_empty(),
        "{kind} of the target differ from the configured store: {}; run the copy again",
        different.join(", ")
    );
    Ok(())
}

/// Describes the states of which the listings have different numbers. A listing may be damaged, which
/// harms no record.
async fn unlike_listings(copy: &Transfer<'_>) -> Result<Vec<String>> {
    let (ours, theirs) = (copy.source.store(), copy.target.store());
    let mut unlike = Vec::new();
    for state in State::NAMES {
        let from = ours.count(state, 0, ListingEntry::MS_MAX).await?;
        let to = theirs.count(state, 0, ListingEntry::MS_MAX).await?;
        if from != to {
            unlike.push(format!("{state} {from} and {to}"));
        }
    }
    Ok(unlike)
}
