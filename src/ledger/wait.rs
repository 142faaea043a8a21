//! Waiting for an answer or an end, without holding anything up.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    ledger::{hub::Subscription, records::Ledger},
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
    pub fn deadline(&self) -> Option<Instant> {
        self.caller_deadline.map(leave_before)
    }

    /// Returns the time at which the wait ends, for a caller of an account with this upstream
    /// time-out.
    #[must_use]
    pub fn ends_at(&self, upstream_timeout: Duration) -> Instant {
        self.deadline().unwrap_or_else(|| {
            let longest = match self.until {
                WaitUntil::Answered => upstream_timeout + ANSWERED_EXTRA,
                WaitUntil::Final => FINAL_DEFAULT,
            };
            Instant::now() + longest
        })
    }

    /// Returns true when the transaction is as the caller wants it, or as good as it gets while the
    /// gateway stops.
    #[must_use]
    pub fn is_over(self, transaction: &Transaction, stopping: bool) -> bool {
        let state = transaction.standing().state;
        match self.until {
            WaitUntil::Final if !stopping => state.ends_watch(),
            _ => state != State::Sending,
        }
    }
}

/// When an answer must leave to arrive before a deadline.
#[must_use]
pub fn leave_before(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - (left / MARGIN_PART).max(MARGIN_MIN).min(left)
}

/// How a wait ended.
pub enum Waited {
    /// As wanted, or as known when the time was up.
    Known(Arc<Transaction>),
    /// The store no longer holds what was known of the transaction, but this.
    RolledBack(Option<Arc<Transaction>>),
}

/// Returns true when the store held `known` and then `read`, which no change of a
/// transaction leads to.
fn is_rolled_back(known: &Transaction, read: &Transaction) -> bool {
    let is_same = read.base() == known.base() && read.updated_at() == known.updated_at();
    read.version() < known.version() || read.version() == known.version() && !is_same
}

impl Ledger {
    /// Waits until `is_over` says so of the transaction and of whether the gateway
    /// is stopping; returns it as known when the time is up.
    ///
    /// A store that went back ends the wait at once: nothing that was known of the
    /// transaction may come. Except while this process sends it (`is_sent_here`, and the
    /// state is SENDING): its sender writes the outcome, over whatever the store holds.
    ///
    /// # Errors
    /// [`StoreError`] when the time is up and the store could not be read last.
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
                // Two tasks of this process may show their versions in any order.
                if published.version() > newest.version() {
                    newest = published;
                }
                problem = None;
                continue;
            }
            // Another process may have committed a change. The caller's answer does not wait
            // for a store that hangs.
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
                Ok(_) if is_sent_here && newest.standing().state == State::Sending => {
                    problem = Some(StoreError::Unavailable(
                        "it has lost the transaction, which is still being sent".to_owned(),
                    ));
                }
                Ok(read) => return Ok(Waited::RolledBack(read)),
                Err(error) => problem = Some(error),
            }
        }
        Ok(Waited::Known(newest))
    }
}
