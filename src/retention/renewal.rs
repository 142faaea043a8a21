//! The renewal of the notes that open transactions rest on.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{
    interruption::{FirstFault, Interruption},
    passes::Passes,
    retention::Retention,
};
use crate::{
    failover::is_open,
    store::{ListingEntry, OldestListing, StoreError, unresolved::UNRESOLVED},
};

/// The number of entries in one step.
const STEP: usize = 32;

impl Passes {
    /// Renews the notes of every open transaction, once in each renewal interval. An error of the
    /// store in one partition does not stop the others, and lets the next pass renew that partition
    /// alone.
    pub(super) async fn renew_if_due(&mut self) -> Result<(), Interruption> {
        let interval = self.retention.settings.renewal_interval;
        let is_due = |at: &Option<Instant>| at.is_none_or(|at| at.elapsed() >= interval);
        if !self.renewed_at.iter().any(is_due) {
            return Ok(());
        }
        let behind = self.behind().await?;
        let mut faults = FirstFault::default();
        for partition in 0..self.renewed_at.len() {
            if self.renewed_at.get(partition).is_some_and(is_due) {
                let renewed = self.renew_in_partition(partition, behind).await;
                faults.keep(renewed)?;
            }
        }
        faults.finish()
    }

    /// Returns the time by which this clock is behind the latest clock of the store. A note that is
    /// renewed by this clock alone might end at once by that of its server.
    async fn behind(&self) -> Result<SignedDuration, Interruption> {
        let mut behind = SignedDuration::ZERO;
        for partition in 0..self.retention.store.partitions() {
            // The notes of a partition that fails are not renewed.
            if let Ok(clock) = self.retention.store.clock(partition).await {
                let Some(clock) = clock else {
                    break;
                };
                behind = behind.max(clock.duration_since(self.now()));
            } else if self.retention.stopping.is_cancelled() {
                return Err(Interruption::Stopping);
            }
        }
        Ok(behind)
    }

    async fn renew_in_partition(
        &mut self,
        partition: usize,
        behind: SignedDuration,
    ) -> Result<(), Interruption> {
        let mut faults = FirstFault::default();
        for state in UNRESOLVED {
            self.renew_in(partition, state, behind, &mut faults).await?;
        }
        faults.finish()?;
        if let Some(at) = self.renewed_at.get_mut(partition) {
            *at = Some(Instant::now());
        }
        Ok(())
    }

    /// Renews the notes of the open transactions of one state in one partition. Younger ones than
    /// the renewal interval have fresh notes. `faults` keeps the errors of single transactions.
    async fn renew_in(
        &mut self,
        partition: usize,
        state: &'static str,
        behind: SignedDuration,
        faults: &mut FirstFault,
    ) -> Result<(), Interruption> {
        let interval = self.retention.settings.renewal_interval;
        let latest = |now: Timestamp| now.checked_add(behind).unwrap_or(Timestamp::MAX);
        let to = latest(self.now()).checked_sub(interval);
        let to = to.unwrap_or(Timestamp::MIN);
        let mut after = None;
        loop {
            let began = Instant::now();
            self.may_go_on().await?;
            let listing = OldestListing {
                partition,
                state,
                after,
                to,
                limit: STEP,
            };
            let retention = Arc::clone(&self.retention);
            let entries = retention.store.oldest(&listing).await?;
            for entry in &entries {
                match renew(&retention, entry, latest(self.now())).await {
                    Err(error) if error.is_of_record() => {
                        self.unreadable.add(&retention, &entry.name, error);
                    }
                    renewed => faults.keep(renewed.map_err(Interruption::from))?,
                }
            }
            after = entries.last().cloned();
            if after.is_none() {
                return Ok(());
            }
            self.pause(began).await;
        }
    }
}

/// Renews the notes of one transaction, if it is still open.
async fn renew(
    retention: &Retention,
    entry: &ListingEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let transaction = match retention.store.load(&entry.key()?).await {
        Err(StoreError::Retired(_)) => None,
        loaded => loaded?,
    };
    let Some(transaction) = transaction.filter(|transaction| is_open(transaction)) else {
        return Ok(());
    };
    let of_inquiry = retention.inquiries.renew(&transaction, now).await;
    retention.sales.renew(&transaction, now).await?;
    of_inquiry
}
