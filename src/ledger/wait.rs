//! Waits for an answer or a terminal state. A wait delays neither the purchase nor other callers.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    ledger::{hub::Subscription, records::Ledger},
    store::StoreError,
    transaction::{State, Transaction},
};

/// The condition that a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitUntil {
    /// OKEBAYAR answered, or the call ended without an answer.
    Answered,
    /// The state is terminal or ends a watch.
    Terminal,
    /// The intent is stored.
    Stored,
}

/// The condition and the deadline of a wait.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The condition.
    pub until: WaitUntil,
    /// The caller's own deadline.
    pub caller_deadline: Option<Instant>,
}

/// The time beyond the upstream time-out that a caller without a deadline waits for an answer.
const ANSWERED_EXTRA: Duration = Duration::from_secs(5);
/// The time that a caller without a deadline waits for a terminal state.
const TERMINAL_DEFAULT: Duration = Duration::from_mins(10);
/// The time by which a response is sent before the caller's deadline: the longer one of this and of
/// 1 / [`MARGIN_PART`] of the remaining time.
const MARGIN_MIN: Duration = Duration::from_millis(100);
const MARGIN_PART: u32 = 20;

impl Wait {
    /// Returns the time at which the response must be sent, to arrive before the caller's deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.caller_deadline.map(leave_before)
    }

    /// Returns the end of the wait, for an account with this upstream time-out.
    #[must_use]
    pub fn ends_at(&self, upstream_timeout: Duration) -> Instant {
        self.deadline().unwrap_or_else(|| {
            let longest = match self.until {
                WaitUntil::Answered => upstream_timeout + ANSWERED_EXTRA,
                WaitUntil::Terminal => TERMINAL_DEFAULT,
                WaitUntil::Stored => Duration::ZERO,
            };
            Instant::now() + longest
        })
    }

    /// Returns true when the transaction meets the condition. While the gateway stops, an answer
    /// suffices.
    #[must_use]
    pub fn is_over(self, transaction: &Transaction, stopping: bool) -> bool {
        let state = transaction.status().state;
        match self.until {
            WaitUntil::Stored => true,
            WaitUntil::Terminal if !stopping => state.ends_watch(),
            _ => state != State::Sending,
        }
    }
}

/// Returns the time at which a response must be sent to arrive before a deadline.
#[must_use]
pub fn leave_before(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - (left / MARGIN_PART).max(MARGIN_MIN).min(left)
}

/// The result of a wait.
pub enum Waited {
    /// The transaction that meets the condition, or its last known version at the deadline.
    Known(Arc<Transaction>),
    /// The store was rolled back: it holds this instead of the known version.
    RolledBack(Option<Arc<Transaction>>),
}

/// Returns true when no sequence of changes leads from `known` to `read`.
fn is_rolled_back(known: &Transaction, read: &Transaction) -> bool {
    let is_same = read.base() == known.base() && read.updated_at() == known.updated_at();
    read.version() < known.version() || read.version() == known.version() && !is_same
}

impl Ledger {
    /// Waits until `is_over` returns true for the transaction and the flag that the gateway is
    /// stopping. Returns the last known version at the deadline.
    ///
    /// A rolled-back store ends the wait at once: the expected outcome may never arrive. Except
    /// while this process sends the transaction (`is_sent_here`, and the state is SENDING): the
    /// sender then stores the outcome, whatever the store holds.
    ///
    /// # Errors
    /// [`StoreError`] at the deadline, when the last read of the store failed; at once when the
    /// transaction was retired.
    pub async fn wait_until(
        &self,
        updates: &mut Subscription,
        mut newest: Arc<Transaction>,
        deadline: Instant,
        is_over: impl Fn(&Transaction, bool) -> bool,
        is_sent_here: bool,
    ) -> Result<Waited, StoreError> {
        let mut problem = None;
        let mut poll = self.poll();
        while !is_over(&newest, self.stopping.is_cancelled()) {
            let published = tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    return problem.map_or(Ok(Waited::Known(newest)), Err);
                }
                published = updates.changed() => published,
                () = poll.due() => None,
                () = self.stopping.cancelled(), if !self.stopping.is_cancelled() => continue,
            };
            if let Some(published) = published {
                // Two tasks of this process may publish their versions in any order.
                if published.version() > newest.version() {
                    newest = published;
                }
                problem = None;
                continue;
            }
            // Another process may have committed a change. The read is bounded by the deadline, so
            // that a store that hangs does not delay the response.
            let key = newest.key();
            let loading = tokio::time::timeout_at(deadline, self.store.load(&key));
            let loaded = loading
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("no reply in time".to_owned())));
            match loaded {
                Ok(Some(read)) if !is_rolled_back(&newest, &read) => {
                    problem = None;
                    newest = read;
                }
                Ok(_) if is_sent_here && newest.status().state == State::Sending => {
                    problem = Some(StoreError::Unavailable(
                        "it has lost the transaction, whose POST is in flight".to_owned(),
                    ));
                }
                Ok(read) => return Ok(Waited::RolledBack(read)),
                Err(error @ StoreError::Retired(_)) => return Err(error),
                Err(error) => problem = Some(error),
            }
        }
        Ok(Waited::Known(newest))
    }
}
