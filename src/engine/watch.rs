//! Following one transaction, every revision once and in order (promise 13).

use std::{collections::VecDeque, sync::Arc};

use tracing::Span;

use super::Engine;
use crate::{
    events::Subscription,
    store::{History, StoreError},
    telemetry::link,
    transaction::{Named, Transaction, TransactionKey},
};

/// Why a watch ends early.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no such transaction.
    #[error("there is no such transaction")]
    NotFound {
        /// The reference code may have been sent all the same.
        may_be_sent: bool,
    },
    /// The changes after that revision cannot be told.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway is shutting down.
    #[error("the gateway is stopping")]
    Stopping,
}

/// One watcher.
pub struct Watch {
    engine: Arc<Engine>,
    key: TransactionKey,
    updates: Subscription,
    /// The last revision handed out.
    seen: u64,
    /// What is to be handed out next.
    waiting: VecDeque<Arc<Transaction>>,
    ended: bool,
}

impl Engine {
    /// Watches a transaction: from its current state on when `after` is 0, else
    /// from the revision after `after`.
    ///
    /// # Errors
    /// [`WatchError`] when there is no such transaction or revision.
    pub async fn watch(self: &Arc<Self>, named: Named, after: u64) -> Result<Watch, WatchError> {
        // Subscribed before reading, so that no change falls in between.
        let updates = self.hub.subscribe(&named.key);
        let Some(current) = self.load(&named).await? else {
            let may_be_sent = self.may_have_sent(Some(&named.key)).await;
            return Err(WatchError::NotFound { may_be_sent });
        };
        link(&Span::current(), current.trace());
        self.metrics().watcher("one", 1);
        let mut watch = Watch {
            engine: Arc::clone(self),
            key: named.key,
            updates,
            seen: after,
            waiting: VecDeque::new(),
            ended: false,
        };
        if after == 0 {
            watch.waiting.push_back(current);
        } else if after > current.revision() {
            return Err(WatchError::OutOfRange(
                "after_revision is newer than the transaction",
            ));
        } else {
            watch.ended = after == current.revision() && ends(&current);
            watch.catch_up(&current).await?;
        }
        Ok(watch)
    }
}

impl Watch {
    /// The next revision; `None` when the watch has ended.
    ///
    /// # Errors
    /// [`WatchError`] when the watch cannot go on; watch again from the last
    /// revision seen.
    pub async fn next(&mut self) -> Result<Option<Arc<Transaction>>, WatchError> {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                self.seen = next.revision();
                self.ended = self.waiting.is_empty() && ends(&next);
                return Ok(Some(next));
            }
            if self.ended {
                return Ok(None);
            }
            let told = tokio::select! {
                told = self.updates.changed() => told,
                () = tokio::time::sleep(self.engine.settings.poll_interval) => None,
                () = self.engine.stopping.cancelled() => return Err(WatchError::Stopping),
            };
            let newest = match told {
                Some(transaction) => transaction,
                None => self
                    .engine
                    .store
                    .load(&self.key)
                    .await?
                    // It was there when the watch began.
                    .ok_or(WatchError::NotFound { may_be_sent: true })?,
            };
            self.catch_up(&newest).await?;
        }
    }

    /// Queues every revision after the last one handed out, up to `newest`.
    async fn catch_up(&mut self, newest: &Arc<Transaction>) -> Result<(), WatchError> {
        if newest.revision() <= self.seen {
            return Ok(());
        }
        if newest.revision() == self.seen + 1 {
            self.waiting.push_back(Arc::clone(newest));
            return Ok(());
        }
        let History::Complete(events) = self.engine.store.history(&self.key, self.seen).await?
        else {
            return Err(WatchError::OutOfRange(
                "changes after that revision are no longer kept",
            ));
        };
        let gapless = (self.seen + 1..)
            .zip(&events)
            .all(|(revision, event)| event.revision() == revision);
        if !gapless || events.is_empty() {
            return Err(WatchError::OutOfRange(
                "changes after that revision are no longer kept",
            ));
        }
        self.waiting.extend(events);
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.engine.metrics().watcher("one", -1);
    }
}

fn ends(transaction: &Transaction) -> bool {
    transaction.standing().state.ends_watch()
}
