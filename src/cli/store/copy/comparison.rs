//! The comparison of source and target after a copy: every record of the target is that of the source,
//! and each state has as many in both. Each record of the source was compared when it was copied.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{data::count_records, progress::Progress};
use crate::{
    store::{ListingEntry, OpenedStore, StoreError, WalkPart, Walked, key::parse_key},
    transaction::State,
};

/// The number of records that are compared concurrently.
const AT_ONCE: usize = 256;

/// The result of a comparison.
pub(super) struct Compared {
    /// The records of the target.
    pub(super) records: u64,
}

/// Compares every record, and the counts.
pub(super) async fn compare(
    source: &OpenedStore,
    target: &OpenedStore,
    now: Timestamp,
) -> Result<Compared> {
    let (ours, theirs) = (source.store(), target.store());
    let total = count_records(&*theirs).await?;
    let mut progress = Progress::begin("comparison", Some(total));
    let mut from = None;
    loop {
        let page = target.walk(WalkPart::Records, from.as_deref(), now).await?;
        for entries in page.entries.chunks(AT_ONCE) {
            let comparing = entries.iter().map(async |entry| {
                let Walked::Record(name) = entry else {
                    return Ok(None);
                };
                let key = parse_key(name)?;
                let (from, to) =
                    futures::future::try_join(ours.load(&key), theirs.load(&key)).await?;
                Ok::<_, StoreError>((from != to).then(|| name.clone()))
            });
            let compared = try_join_all(comparing).await;
            let compared =
                compared.context("the comparison is not finished; run the copy again")?;
            let different: Vec<String> = compared.into_iter().flatten().collect();
            ensure!(
                different.is_empty(),
                "records of the target differ from the configured store: {}; run the copy again",
                different.join(", ")
            );
            progress.add(entries.len() as u64);
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    let mut records = 0;
    for state in State::NAMES {
        let from = ours.count(state, 0, ListingEntry::MS_MAX).await?;
        let to = theirs.count(state, 0, ListingEntry::MS_MAX).await?;
        ensure!(
            from == to,
            "the configured store lists {from} transactions in {state}, the target {to}: run \
             okebayar-gateway store verify on the configured store"
        );
        records += to;
    }
    Ok(Compared { records })
}
