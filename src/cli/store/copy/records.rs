//! The records of a copy, with their trace codes. Each may be copied again: what is there already
//! stays.

use std::{collections::HashSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join_all};
use sha2::{Digest, Sha256};

use super::{
    progress::Progress,
    transfer::{AT_ONCE, Transfer, retried},
};
use crate::{
    store::{Commit, ListingEntry, Store, StoreError, WalkPart, Walked, key::parse_key},
    transaction::{Change, State, Transaction},
};

/// The number of unreadable records that are named.
const NAMED_MAX: usize = 10;

/// The names of records, each once: a walk may visit a record twice.
#[derive(Debug, Default)]
pub(super) struct RecordNames(HashSet<[u8; 16]>);

impl RecordNames {
    pub(super) fn insert(&mut self, name: &str) {
        let hash: [u8; 32] = Sha256::digest(name).into();
        let (first, _) = hash.split_at(16);
        self.0.extend(<[u8; 16]>::try_from(first).ok());
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The records that were copied.
#[derive(Debug, Default)]
pub(super) struct CopiedRecords {
    /// All of them, those that were in the target already included.
    pub(super) names: RecordNames,
    /// The number of those that were in the target already.
    pub(super) unchanged: u64,
}

/// Counts the records by the listing: approximately, where that is damaged.
pub(in crate::cli::store) async fn count_records(store: &dyn Store) -> Result<u64, StoreError> {
    let counts = State::NAMES.map(|state| store.count(state, 0, ListingEntry::MS_MAX));
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Copies every record.
pub(super) async fn copy_records(copy: &Transfer<'_>) -> Result<CopiedRecords> {
    let (from, to) = (copy.source.store(), copy.target.store());
    let mut progress = Progress::begin("records", Some(count_records(&*from).await?));
    let (mut copied, mut unreadable) = (CopiedRecords::default(), Vec::new());
    let mut next = None;
    loop {
        let now = (copy.now)();
        let page = copy.source.walk(WalkPart::Records, next.as_deref(), now);
        let page = page.await?;
        for entries in page.entries.chunks(AT_ONCE) {
            copy.require_marked().await?;
            let copying = entries.iter().map(async |entry| {
                let Walked::Record { name, .. } = entry else {
                    return Ok(None);
                };
                let record = load(&*from, name).await?;
                let is_new = copy_record(&*to, &record, copy.seal).await?;
                Ok(Some((name, is_new)))
            });
            for done in join_all(copying).await {
                match done {
                    Ok(Some((name, is_new))) => {
                        copied.names.insert(name);
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
            Some(place) => next = Some(place),
            None => break,
        }
    }
    ensure!(
        unreadable.is_empty(),
        "{} records cannot be copied, so the copy is not finished: {}. Repair them (okebayar-gateway \
         store verify names all), or return with okebayar-gateway store copy --cancel",
        unreadable.len(),
        unreadable[..unreadable.len().min(NAMED_MAX)].join("; ")
    );
    Ok(copied)
}

/// Loads a record that the walk visited. Nothing changes in the source, so it must be there.
async fn load(from: &dyn Store, name: &str) -> Result<Arc<Transaction>, StoreError> {
    let record = from.load(&parse_key(name)?).await?;
    record.ok_or_else(|| StoreError::Corrupt {
        key: name.to_owned(),
        problem: "it lies where no gateway looks for it, or was removed meanwhile".to_owned(),
    })
}

/// Returns true for an error that is of one record, not of the store.
fn is_of_record(error: &StoreError) -> bool {
    !error.is_transient() && !matches!(error, StoreError::Unsuitable(_))
}

/// Copies a record with its trace codes. Returns false when the target has it already. `seal` is the
/// name of the seal of the target.
async fn copy_record(
    to: &dyn Store,
    record: &Arc<Transaction>,
    seal: &str,
) -> Result<bool, StoreError> {
    let (key, account) = (record.key(), record.account());
    let change = Change {
        transaction: Arc::clone(record),
        from: None,
        is_event: false,
        releases: None,
    };
    let is_new = match retried(async || to.commit(&change, Some(seal)).await).await? {
        Commit::Done => true,
        // A repeated commit conflicts with itself.
        Commit::Conflict(Some(stored)) if stored == *record => false,
        // The source does not change, so the target was changed by something else.
        Commit::Conflict(_) => {
            return Err(StoreError::Unsuitable(format!(
                "the target holds another version of {key} than the configured store: it may be in \
                 use, and nothing in it is replaced. If it is not, return with okebayar-gateway \
                 store copy --cancel, empty the target, and copy again"
            )));
        }
        Commit::OtherEpoch => {
            return Err(StoreError::Unsuitable(
                "the target carries another seal than that of this copy: it lost what was copied, or \
                 another run of the copy has begun; run the copy again"
                    .to_owned(),
            ));
        }
    };
    for trace_code in record.trace_codes() {
        retried(async || to.index_trace(&key, account, &trace_code).await).await?;
    }
    Ok(is_new)
}
