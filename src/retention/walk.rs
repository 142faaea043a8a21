//! The walk over the records that may have ended: in each partition the listing of each state, from
//! the oldest accepted on. What was changed later than its neighbours is visited again by later
//! passes.

use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    interruption::{FirstFault, Interruption},
    passes::Passes,
    retention::Retention,
    rules::{ENDING_STATES, RecordEnd, end_of, shortest_kept},
};
use crate::{
    store::{ListingEntry, OldestListing, Retirement, StoreError},
    transaction::Transaction,
};

/// The number of entries in one step.
const STEP: usize = 32;
/// The number of records that are loaded or retired concurrently.
const CONCURRENT: usize = 8;

/// A record whose end has come.
struct EndedRecord {
    transaction: Arc<Transaction>,
    end: RecordEnd,
}

impl Passes {
    /// Retires every record that has ended. An error of the store in one partition does not stop the
    /// others.
    pub(super) async fn retire_ended(&mut self) -> Result<(), Interruption> {
        let mut faults = FirstFault::default();
        for partition in 0..self.retention.store.partitions() {
            let retired = self.retire_in_partition(partition).await;
            faults.keep(retired)?;
        }
        faults.finish()
    }

    async fn retire_in_partition(&mut self, partition: usize) -> Result<(), Interruption> {
        let mut faults = FirstFault::default();
        for state in ENDING_STATES {
            self.retire_in(partition, state, &mut faults).await?;
        }
        faults.finish()
    }

    /// Retires the ended records of one state in one partition. `faults` keeps the errors of single
    /// records.
    async fn retire_in(
        &mut self,
        partition: usize,
        state: &'static str,
        faults: &mut FirstFault,
    ) -> Result<(), Interruption> {
        let kept = shortest_kept(state, &self.retention.settings);
        let mut after = None;
        loop {
            let began = Instant::now();
            let now = self.may_end(partition).await?;
            let listing = OldestListing {
                partition,
                state,
                after,
                // Nothing changes before it was accepted.
                to: now.checked_sub(kept).unwrap_or(Timestamp::MIN),
                limit: STEP,
            };
            let entries = self.retention.store.oldest(&listing).await?;
            let Some(last) = entries.last().cloned() else {
                return Ok(());
            };
            let retired = self.retire_step(entries, now).await;
            faults.keep(retired)?;
            after = Some(last);
            self.pause(began).await;
        }
    }

    /// Loads the records of some entries, and retires those that have ended.
    async fn retire_step(
        &mut self,
        entries: Vec<ListingEntry>,
        now: Timestamp,
    ) -> Result<(), Interruption> {
        let retention = Arc::clone(&self.retention);
        let loaded: Vec<_> = stream::iter(entries)
            .map(async |entry| {
                let loaded = load_ended(&retention, &entry, now).await;
                (entry.name, loaded)
            })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let (mut ended, mut faults) = (Vec::new(), FirstFault::default());
        for (key, loaded) in loaded {
            match loaded {
                Ok(found) => ended.extend(found),
                Err(error) if error.is_of_record() => self.unreadable.add(&retention, &key, error),
                Err(error) => faults.keep(Err(error.into()))?,
            }
        }
        if ended.is_empty() {
            return faults.finish();
        }
        self.observe_epoch().await?;
        let lag = ended.iter().map(|ended| now.duration_since(ended.end.at));
        let lag = lag.max().unwrap_or(SignedDuration::ZERO);
        retention.metrics.retention.lag(self.lag.max(lag));
        let retired: Vec<_> = stream::iter(ended)
            .map(|ended| retire(&retention, ended))
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        if let Some(error) = retired.into_iter().find_map(Result::err) {
            self.lag = self.lag.max(lag);
            faults.keep(Err(error.into()))?;
        }
        faults.finish()
    }
}

/// Loads the record of an entry; returns `None` when it has not ended.
async fn load_ended(
    retention: &Retention,
    entry: &ListingEntry,
    now: Timestamp,
) -> Result<Option<EndedRecord>, StoreError> {
    let transaction = match retention.store.load(&entry.key()?).await {
        Ok(Some(transaction)) => transaction,
        // Another replica was faster.
        Ok(None) | Err(StoreError::Retired(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let end = end_of(&transaction, &retention.settings, &retention.schedule);
    let ended = end.filter(|end| end.at <= now);
    Ok(ended.map(|end| EndedRecord { transaction, end }))
}

/// Retires one record with its trace codes, and its place in the list of its bill if it paid nothing.
///
/// Both are removed before the record, because they are found through it: after a crash in between,
/// the next pass removes them again. The other order would leave them behind for ever.
async fn retire(retention: &Retention, ended: EndedRecord) -> Result<(), StoreError> {
    let EndedRecord { transaction, end } = ended;
    let (store, key, account) = (&retention.store, transaction.key(), transaction.account());
    let trace_codes = transaction.trace_codes();
    for trace_code in &trace_codes {
        store.unindex_trace(&key, account, trace_code).await?;
    }
    let inquiries = &retention.inquiries;
    inquiries.unlist_ended(&transaction).await?;
    if store.retire(&transaction, end.tombstone.as_ref()).await? == Retirement::Done {
        let state = transaction.status().state.name();
        retention.metrics.retention.retired(state);
        return Ok(());
    }
    // It was changed meanwhile, and stays; or another replica was faster.
    let stored = match store.load(&key).await {
        Err(StoreError::Retired(_)) => None,
        loaded => loaded?,
    };
    if stored.is_some() {
        for trace_code in &trace_codes {
            store.index_trace(&key, account, trace_code).await?;
        }
        // An attempt that is armed again lists itself again as well (`secure_place`).
        drop(inquiries.list_under_bill(transaction.order(), &key).await?);
    }
    Ok(())
}
