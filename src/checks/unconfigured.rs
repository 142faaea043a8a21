//! Due transactions of accounts that this gateway does not have: the account was removed from the
//! configuration, or renamed without its former name, or a rollout adds it and has reached only
//! other gateways.
//!
//! This gateway cannot check them. Their schedule advances without checks and ends in manual review
//! (promise 11).
//!
//! SUBTLE: during a rollout gateway A has the account, and B does not:
//! 1. Both see a transaction due. B acquires no lease and commits nothing: it records since when
//!    this version is due.
//! 2. A leases or settles the transaction. B then no longer sees it due, or sees another version,
//!    and starts again.
//! 3. B passes over only a transaction that it has seen due for the whole of
//!    `checks.unconfigured_grace`: A had that time. A time in which B did not poll, because the
//!    store did not answer or the machine was suspended, may have kept A from it as well, and does
//!    not count.
//! 4. A may be checking at that very moment. Passing over does not count as a check, so it shortens
//!    no schedule of A's, and A folds its answer into whatever is stored. Only at
//!    `checks.give_up_after` an answer can come too late: the review then shows it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{checks::Checks, skipped::SkipDecision};
use crate::{
    store::{
        StoreError,
        unresolved::{self, PerState, UNRESOLVED},
    },
    transaction::{AccountName, Transaction},
};

impl Checks {
    /// Leaves a due transaction to a gateway that has its account. Advances the schedule once no
    /// gateway has leased it for the grace period.
    ///
    /// # Errors
    /// [`StoreError`] when the new schedule cannot be stored; the transaction then stays due.
    pub(super) async fn pass_over(&self, due: Arc<Transaction>) -> Result<(), StoreError> {
        let key = due.key();
        let grace = self.schedule.unconfigured_grace;
        let decision = self
            .skipped
            .record_due(&key, due.version(), (self.ambient.now)(), grace);
        if decision == SkipDecision::Leave {
            return Ok(());
        }
        let passed = self
            .ledger
            .update(due, |current| {
                current.pass_over((self.ambient.now)(), &self.schedule)
            })
            .await?;
        info!(
            %key,
            account = %passed.account(),
            state = passed.status().state.name(),
            next_at = passed.due_at().map(tracing::field::display),
            "status check passed over: its account is not configured"
        );
        Ok(())
    }

    /// Counts the open transactions of accounts that are not configured, for the gauge. `reported`
    /// holds the accounts that were already logged.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn count_unconfigured(
        &self,
        reported: &mut BTreeSet<AccountName>,
    ) -> Result<(), StoreError> {
        let mut total = PerState::default();
        let mut found = BTreeSet::new();
        let names = self.store.account_names().await?.names;
        // The identity holds the account name of every record: see `store/identity/`.
        if names.iter().any(|name| self.upstreams.get(name).is_none()) {
            let unresolved = unresolved::count(&*self.store).await?;
            let unconfigured = unresolved
                .by_account
                .into_iter()
                .filter(|(account, _)| self.upstreams.get(account).is_none());
            for (account, counts) in unconfigured {
                if !reported.contains(&account) {
                    warn!(
                        %account,
                        count = counts.iter().sum::<u64>(),
                        "open transactions of an account that is not configured: they are not \
                         checked; configure the account, or accounts.<name>.formerly if it was \
                         renamed"
                    );
                }
                for (total, count) in total.iter_mut().zip(counts) {
                    *total += count;
                }
                found.insert(account);
            }
        }
        *reported = found;
        for (state, count) in UNRESOLVED.into_iter().zip(total) {
            self.metrics.unconfigured(state, count);
        }
        Ok(())
    }
}

/// The pause after a count, as a multiple of the time that the count took.
const REST: u32 = 10;

/// Counts the open transactions of accounts that are not configured, at once and then every
/// `interval`, until `stopping`; logs each such account once.
pub async fn run(checks: Arc<Checks>, interval: Duration, stopping: CancellationToken) {
    let mut reported = BTreeSet::new();
    loop {
        let began = Instant::now();
        let counted = tokio::select! {
            () = stopping.cancelled() => return,
            counted = checks.count_unconfigured(&mut reported) => counted,
        };
        if let Err(error) = counted {
            debug!(%error, "count of unconfigured accounts' transactions failed");
        }
        let rest = interval.max(began.elapsed() * REST);
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
