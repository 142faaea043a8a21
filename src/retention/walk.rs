//! The walk over the records that may have ended: in each partition the listing of each state, from
//! the oldest accepted on. What was changed later than its neighbours is visited again by later
//! passes.

use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::warn;

use super::{
    interruption::Interruption,
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
    /// Retires every record that has ended.
    pub(super) async fn retire_ended(&mut self) -> Result<(), Interruption> {
        for partition in 0..self.retention.store.partitions() {
            for state in ENDING_STATES {
                self.retire_in(partition, state).await?;
            }
        }
        Ok(())
    }

    /// Retires the ended records of one state in one partition.
    async fn retire_in(
        &mut self,
        partition: usize,
        state: &'static str,
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
            self.retire_step(entries, now).await?;
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
        let ended: Vec<_> = stream::iter(entries)
            .map(|entry| load_ended(&retention, entry, now))
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let ended: Vec<Option<EndedRecord>> = ended.into_iter().collect::<Result<_, _>>()?;
        let ended: Vec<EndedRecord> = ended.into_iter().flatten().collect();
        if ended.is_empty() {
            return Ok(());
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
        let failed = retired.into_iter().find_map(Result::err);
        if let Some(error) = failed {
            self.lag = self.lag.max(lag);
            return Err(error.into());
        }
        Ok(())
    }
}

/// Loads the record of an entry; returns `None` when it has not ended, or cannot be read.
async fn load_ended(
    retention: &Retention,
    entry: ListingEntry,
    now: Timestamp,
) -> Result<Option<EndedRecord>, StoreError> {
    let loaded = match entry.key() {
        Ok(key) => retention.store.load(&key).await,
        Err(error) => Err(error),
    };
    let transaction = match loaded {
        Ok(Some(transaction)) => transaction,
        // Another replica was faster.
        Ok(None) | Err(StoreError::Retired(_)) => return Ok(None),
        Err(error) if error.is_of_record() => {
            retention.metrics.retention.failure("unreadable");
            warn!(key = entry.name, %error, "unreadable record does not end");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let end = end_of(&transaction, &retention.settings, &retention.schedule);
    let ended = end.filter(|end| end.at <= now);
    Ok(ended.map(|end| EndedRecord { transaction, end }))
}

/// Retires one record with its trace codes.
///
/// The trace codes are removed before the record, because they are found through it: after a crash
/// in between, the next pass removes them again. The other order would leave them behind for ever.
async fn retire(retention: &Retention, ended: EndedRecord) -> Result<(), StoreError> {
    let EndedRecord { transaction, end } = ended;
    let (store, key, account) = (&retention.store, transaction.key(), transaction.account());
    let trace_codes = transaction.trace_codes();
    for trace_code in &trace_codes {
        store.unindex_trace(&key, account, trace_code).await?;
    }
    match store.retire(&transaction, end.tombstone.as_ref()).await? {
        Retirement::Done => {
            let state = transaction.status().state.name();
            retention.metrics.retention.retired(state);
        }
        Retirement::Conflict => {
            // It was changed meanwhile, and stays.
            for trace_code in &trace_codes {
                store.index_trace(&key, account, trace_code).await?;
            }
        }
    }
    Ok(())
}
