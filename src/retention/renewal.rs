//! The renewal of the notes that open transactions rest on.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::{interruption::Interruption, passes::Passes, retention::Retention};
use crate::{
    failover::is_open,
    store::{ListingEntry, OldestListing, StoreError, unresolved::UNRESOLVED},
};

/// The number of entries in one step.
const STEP: usize = 32;

impl Passes {
    /// Renews the notes of every open transaction, once in each renewal interval.
    pub(super) async fn renew_if_due(&mut self) -> Result<(), Interruption> {
        let interval = self.retention.settings.renewal_interval;
        if self.renewed_at.is_some_and(|at| at.elapsed() < interval) {
            return Ok(());
        }
        for partition in 0..self.retention.store.partitions() {
            for state in UNRESOLVED {
                self.renew_in(partition, state).await?;
            }
        }
        self.renewed_at = Some(Instant::now());
        Ok(())
    }

    /// Renews the notes of the open transactions of one state in one partition. Younger ones than
    /// the renewal interval have fresh notes.
    async fn renew_in(
        &mut self,
        partition: usize,
        state: &'static str,
    ) -> Result<(), Interruption> {
        let interval = self.retention.settings.renewal_interval;
        let to = self.now().checked_sub(interval);
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
                renew(&retention, entry).await?;
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
async fn renew(retention: &Retention, entry: &ListingEntry) -> Result<(), StoreError> {
    let renewing = async {
        let transaction = match retention.store.load(&entry.key()?).await {
            Err(StoreError::Retired(_)) => None,
            loaded => loaded?,
        };
        if let Some(transaction) = transaction.filter(|transaction| is_open(transaction)) {
            retention.inquiries.renew(&transaction).await?;
            retention.sales.renew(&transaction).await?;
        }
        Ok::<_, StoreError>(())
    };
    match renewing.await {
        Err(error) if error.is_of_record() => {
            retention.metrics.retention.failure("unreadable");
            warn!(key = entry.name, %error, "notes of an open transaction not renewed");
            Ok(())
        }
        renewed => renewed,
    }
}
