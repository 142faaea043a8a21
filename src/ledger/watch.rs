//! The watch of one transaction: every revision once and in order (promise 13).
//!
//! A store may be rolled back: a backup is restored, or a replica that lacks the latest writes is
//! promoted. Then revisions that a watcher has returned are lost, and their numbers are reused for
//! other changes. So a watcher keeps the revision that it returned last, and every later one must
//! continue it.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::{
    ledger::{
        hub::{Poll, Subscription},
        records::Ledger,
        watch_timer::WatchTimer,
    },
    store::{History, StoreError},
    telemetry::link,
    transaction::{State, Transaction, TransactionKey, TransactionRef},
};

/// The reason why a watch ends early.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no such transaction.
    #[error("there is no such transaction")]
    NotFound,
    /// The store held the transaction when the watch began, and has lost it since.
    #[error("the store has lost the transaction")]
    Lost,
    /// The changes after the requested position are not available.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The limit on concurrent watches is reached.
    #[error("too many watches are open")]
    TooMany,
    /// The gateway is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

const TRIMMED: WatchError =
    WatchError::OutOfRange("changes after that revision are no longer kept");
const ROLLED_BACK: WatchError = WatchError::OutOfRange(
    "the store was rolled back to an earlier state, and no longer holds the revisions that were sent",
);

/// The watch of one transaction by one caller.
pub struct Watch {
    ledger: Arc<Ledger>,
    key: TransactionKey,
    updates: Subscription,
    poll: Poll,
    /// The last revision returned.
    seen: u64,
    /// The transaction as of that revision; `None` while only its number is known.
    last_sent: Option<Arc<Transaction>>,
    /// The revisions to return next.
    pending: VecDeque<Arc<Transaction>>,
    /// NEEDS_REVIEW does not end the watch.
    until_terminal: bool,
    timer: WatchTimer,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// A result of the watch of one transaction.
#[derive(Debug)]
pub struct Watched {
    /// The next revision; `None` in a heartbeat and at the end by age.
    pub transaction: Option<Arc<Transaction>>,
    /// The last revision returned, after which to resume.
    pub revision: u64,
    /// The watch has reached its age, and ends with this result.
    pub expired: bool,
}

impl Ledger {
    /// Watches a transaction: from its current revision when `after` is 0, else from the revision
    /// after `after`. A state that ends the watch is returned in any case; with `until_terminal`,
    /// NEEDS_REVIEW is no such state.
    ///
    /// # Errors
    /// [`WatchError`] when there is no such transaction or revision, or too many watches are open.
    pub async fn watch(
        self: &Arc<Self>,
        named: TransactionRef,
        after: u64,
        until_terminal: bool,
    ) -> Result<Watch, WatchError> {
        let permit = self.admit_watcher().ok_or(WatchError::TooMany)?;
        // Subscribes before the read, so that no change is lost in between.
        let updates = self.hub.subscribe(&named.key);
        let current = self.find(&named).await?.ok_or(WatchError::NotFound)?;
        link(&Span::current(), current.trace());
        self.metrics.watcher("one", 1);
        let mut watch = Watch {
            ledger: Arc::clone(self),
            key: named.key,
            updates,
            poll: self.poll(),
            seen: after,
            last_sent: None,
            pending: VecDeque::new(),
            until_terminal,
            timer: self.watch_timer(),
            ended: false,
            _permit: permit,
        };
        if after > current.revision() {
            return Err(WatchError::OutOfRange(
                "after_revision is newer than the transaction",
            ));
        }
        if after == 0 || after == current.revision() && watch.is_ended_by(&current) {
            watch.pending.push_back(current);
        } else {
            watch.catch_up(&current).await?;
            if after == current.revision() {
                watch.last_sent = Some(current);
            }
        }
        Ok(watch)
    }
}

impl Watch {
    /// Returns the next revision, and waits for one; a heartbeat when none comes; `None` when the
    /// watch has ended.
    ///
    /// # Errors
    /// [`WatchError`] when the watch cannot continue; watch again from the last revision received.
    pub async fn next(&mut self) -> Result<Option<Watched>, WatchError> {
        self.timer.await_result();
        loop {
            if self.ended {
                return Ok(None);
            }
            if self.timer.is_over() {
                // Pending revisions are left to the watch that resumes.
                self.ended = true;
                return Ok(Some(self.result(None)));
            }
            if let Some(next) = self.pending.pop_front() {
                self.seen = next.revision();
                self.ended = self.pending.is_empty() && self.is_ended_by(&next);
                self.last_sent = Some(Arc::clone(&next));
                return Ok(Some(self.result(Some(next))));
            }
            let committed = tokio::select! {
                biased;
                () = self.ledger.stopping.cancelled() => return Err(WatchError::Stopping),
                committed = self.updates.changed() => committed,
                () = self.poll.due() => None,
                () = self.timer.due() => {
                    if self.timer.is_over() {
                        continue;
                    }
                    return Ok(Some(self.result(None)));
                }
            };
            if let Some(committed) = committed
                && self.is_continued_by(&committed)
                && committed.revision() <= self.seen + 1
            {
                if committed.revision() > self.seen {
                    self.pending.push_back(committed);
                }
                continue;
            }
            // Two tasks of this process may publish their versions in any order, so only a read of
            // the store shows that it was rolled back. It held the record when the watch began.
            let stored = self.ledger.store.load(&self.key).await?;
            let stored = stored.ok_or(WatchError::Lost)?;
            self.catch_up(&stored).await?;
        }
    }

    /// Builds a result after which to resume from the last revision returned.
    fn result(&self, transaction: Option<Arc<Transaction>>) -> Watched {
        Watched {
            expired: self.ended && transaction.is_none(),
            revision: self.seen,
            transaction,
        }
    }

    /// Returns true when the state of a transaction ends this watch.
    fn is_ended_by(&self, transaction: &Transaction) -> bool {
        let state = transaction.status().state;
        let awaits_operator = self.until_terminal && matches!(state, State::NeedsReview { .. });
        state.ends_watch() && !awaits_operator
    }

    /// Queues every revision after the last one returned, up to `newest`, which the store holds.
    async fn catch_up(&mut self, newest: &Arc<Transaction>) -> Result<(), WatchError> {
        if !self.is_continued_by(newest) {
            return Err(ROLLED_BACK);
        }
        if newest.revision() <= self.seen + 1 {
            if newest.revision() > self.seen {
                self.pending.push_back(Arc::clone(newest));
            }
            return Ok(());
        }
        let History::Complete(events) = self.ledger.store.history(&self.key, self.seen).await?
        else {
            return Err(TRIMMED);
        };
        let gapless = (self.seen + 1..)
            .zip(&events)
            .all(|(revision, event)| event.revision() == revision);
        let Some(first) = events.first().filter(|_| gapless) else {
            return Err(TRIMMED);
        };
        if !self.is_continued_by(first) {
            return Err(ROLLED_BACK);
        }
        self.pending.extend(events);
        Ok(())
    }

    /// Returns true when `newer` continues the last returned revision, or is the same.
    ///
    /// Evidence is never removed, so a record that lacks some of it comes from a rolled-back store.
    /// A lost record that its sender rewrites has all of it, and an erased one has it in another
    /// form.
    fn is_continued_by(&self, newer: &Transaction) -> bool {
        let Some(last_sent) = &self.last_sent else {
            return newer.revision() >= self.seen;
        };
        if newer.revision() == last_sent.revision() {
            return newer.is_same_revision(last_sent);
        }
        newer.revision() > last_sent.revision()
            && newer.created_at() == last_sent.created_at()
            && (newer.erasure().is_some() || newer.evidence().includes(last_sent.evidence()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ledger.metrics.watcher("one", -1);
    }
}
