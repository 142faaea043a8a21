//! Waiting for an answer or an end, without holding anything up.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Engine, PurchaseError};
use crate::{
    events::Subscription,
    store::StoreError,
    transaction::{State, Transaction},
};

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitUntil {
    /// OKEBAYAR answered, or is known not to answer.
    Answered,
    /// The state is final or ends a watch.
    Final,
}

/// How long a caller waits.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// What for.
    pub until: WaitUntil,
    /// The caller's own deadline.
    pub caller_deadline: Option<Instant>,
}

/// What a waiter without a deadline allows beyond the upstream time-out.
const ANSWERED_EXTRA: Duration = Duration::from_secs(5);
const FINAL_DEFAULT: Duration = Duration::from_mins(10);
/// An answer leaves this long before the caller's deadline, or a twentieth of the
/// time left, whichever is longer.
const MARGIN_MIN: Duration = Duration::from_millis(100);
const MARGIN_PART: u32 = 20;

impl Wait {
    /// When the answer must leave, to arrive before the caller's deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.caller_deadline.map(leave_before)
    }

    fn is_over(self, transaction: &Transaction, stopping: bool) -> bool {
        let state = transaction.standing().state;
        match self.until {
            WaitUntil::Final if !stopping => state.ends_watch(),
            _ => state != State::Sending,
        }
    }
}

/// When an answer must leave to arrive before a deadline.
pub(super) fn leave_before(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - (left / MARGIN_PART).max(MARGIN_MIN).min(left)
}

impl Engine {
    /// Waits for the transaction; returns it as known when the time is up.
    pub(super) async fn wait(
        &self,
        updates: &mut Subscription,
        newest: Arc<Transaction>,
        wait: Wait,
    ) -> Result<Arc<Transaction>, PurchaseError> {
        let upstream = self.upstream(newest.account());
        let timeout = upstream.map_or(Duration::ZERO, |upstream| upstream.timeout);
        let deadline = wait.deadline().unwrap_or_else(|| {
            Instant::now()
                + match wait.until {
                    WaitUntil::Answered => timeout + ANSWERED_EXTRA,
                    WaitUntil::Final => FINAL_DEFAULT,
                }
        });
        let is_over = |newest: &Transaction, stopping| wait.is_over(newest, stopping);
        self.wait_until(updates, newest, deadline, is_over)
            .await
            .map_err(|error| PurchaseError::OutcomeUnreadable(error.to_string()))
    }

    /// Waits until `is_over` says so of the transaction and of whether the gateway
    /// is stopping; returns it as known when the time is up.
    ///
    /// # Errors
    /// [`StoreError`] when the time is up and the store could not be read last.
    pub(super) async fn wait_until(
        &self,
        updates: &mut Subscription,
        mut newest: Arc<Transaction>,
        deadline: Instant,
        is_over: impl Fn(&Transaction, bool) -> bool,
    ) -> Result<Arc<Transaction>, StoreError> {
        let mut problem = None;
        let mut poll = tokio::time::interval(self.settings.poll_interval);
        poll.reset();
        while !is_over(&newest, self.stopping.is_cancelled()) {
            let told = tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    return problem.map_or(Ok(newest), Err);
                }
                told = updates.changed() => told,
                _ = poll.tick() => None,
                () = self.stopping.cancelled(), if !self.stopping.is_cancelled() => continue,
            };
            let read = match told {
                Some(transaction) => Ok(Some(transaction)),
                // Another process may have committed a change. The caller's answer does not
                // wait for a store that hangs.
                None => tokio::time::timeout_at(deadline, self.store.load(&newest.key()))
                    .await
                    .unwrap_or_else(|_| {
                        Err(StoreError::Unavailable("no reply in time".to_owned()))
                    }),
            };
            match read {
                Ok(read) => {
                    problem = None;
                    newest = read
                        .filter(|read| read.version() > newest.version())
                        .unwrap_or(newest);
                }
                Err(error) => problem = Some(error),
            }
        }
        Ok(newest)
    }
}
