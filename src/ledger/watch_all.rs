//! Following every transaction, from a cursor (promise 13).
//!
//! A watcher first reads the store itself, from its cursor up to where the reader of
//! all events stands ([`super::feed`]), and from there on receives what that one reads.
//! Each event carries its number in its partition, so whatever order the two meet in,
//! an event that was handed out is recognized, and so is a gap. A watcher that falls
//! behind the reader's bounded read-ahead reads the store again from its cursor.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError};

use super::{
    feed::{FeedEvent, FeedMessage, FeedSubscription},
    records::Ledger,
    watch::WatchError,
};
use crate::{
    store::{Cursor, Event, Events},
    transaction::{AccountName, Transaction},
};

/// One watcher of everything.
pub struct WatchAll {
    ledger: Arc<Ledger>,
    /// Only these accounts; empty for all.
    accounts: Vec<AccountName>,
    /// From the reader of all events.
    feed: FeedSubscription,
    /// Behind what was handed out.
    cursor: Cursor,
    /// Events that this watcher read from the store.
    pending: VecDeque<Event>,
    /// Up to here the store is to be read.
    target: Option<Cursor>,
    /// The watcher is owed a cursor, even without a transaction.
    cursor_due: bool,
    _permit: OwnedSemaphorePermit,
}

/// What a watcher of everything is told.
#[derive(Debug)]
pub struct WatchedAll {
    /// A change; `None` when only the cursor is new.
    pub transaction: Option<Arc<Transaction>>,
    /// Where to resume after this.
    pub cursor: String,
}

const OUT_OF_RANGE: WatchError = WatchError::OutOfRange(
    "changes after that cursor are no longer kept, or it belongs to another history of the store",
);

impl Ledger {
    /// Watches every transaction: from a cursor on, or from now. The first thing told
    /// is then the cursor of now.
    ///
    /// # Errors
    /// [`WatchError`] when the store does not answer, the changes after the cursor are
    /// no longer kept, or there are too many watchers.
    pub async fn watch_all(
        self: &Arc<Self>,
        accounts: Vec<AccountName>,
        from: Option<Cursor>,
    ) -> Result<WatchAll, WatchError> {
        let permit = self.admit_watcher().ok_or(WatchError::TooMany)?;
        if self.stopping.is_cancelled() {
            return Err(WatchError::Stopping);
        }
        // Subscribed before reading, so that no change falls in between.
        let feed = self.feed.subscribe();
        let cursor_due = from.is_none();
        let cursor = match from {
            Some(cursor) => cursor,
            None => self.store.events_head().await?,
        };
        self.metrics.watcher("all", 1);
        let mut watch = WatchAll {
            ledger: Arc::clone(self),
            accounts,
            target: feed.position.clone(),
            feed,
            cursor,
            pending: VecDeque::new(),
            cursor_due,
            _permit: permit,
        };
        // A cursor that cannot be resumed from is refused at once.
        watch.read().await?;
        Ok(watch)
    }
}

impl WatchAll {
    /// The next change of any transaction; waits for one.
    ///
    /// # Errors
    /// [`WatchError`] when the watch cannot go on; watch again from the last cursor.
    pub async fn next(&mut self) -> Result<WatchedAll, WatchError> {
        loop {
            if std::mem::take(&mut self.cursor_due) {
                return Ok(self.with_cursor(None));
            }
            if let Some(event) = self.pending.pop_front() {
                self.cursor.advance(&event);
                // Those who see little must not fall behind what is kept.
                self.cursor_due = self.pending.is_empty();
                if self.is_selected(&event) {
                    self.cursor_due = false;
                    return Ok(self.with_cursor(Some(event.transaction)));
                }
                continue;
            }
            if self.is_behind() {
                self.read().await?;
                continue;
            }
            let message = tokio::select! {
                message = self.feed.messages.recv() => message,
                () = self.ledger.stopping.cancelled() => return Err(WatchError::Stopping),
            };
            match message.as_deref() {
                Ok(FeedMessage::Event(next)) => {
                    if let Some(watched) = self.accept(next).await? {
                        return Ok(watched);
                    }
                }
                Ok(FeedMessage::Started(position)) => {
                    self.target = Some(position.clone());
                    // It may have begun again because the store went back.
                    self.read().await?;
                }
                Ok(FeedMessage::Failed(error)) => return Err(WatchError::Store(error.clone())),
                Err(RecvError::Lagged(_)) => {
                    self.feed = self.ledger.feed.subscribe();
                    self.target.clone_from(&self.feed.position);
                }
                // The sender lives as long as the ledger.
                Err(RecvError::Closed) => return Err(WatchError::Stopping),
            }
        }
    }

    /// Takes an event of the reader, if it is the next one of its partition.
    async fn accept(&mut self, next: &FeedEvent) -> Result<Option<WatchedAll>, WatchError> {
        let FeedEvent { event, after, .. } = next;
        let seen = self.cursor.positions.get(event.partition).copied();
        let Some(seen) = seen.filter(|_| after.epoch == self.cursor.epoch) else {
            // The store refuses our cursor, or the reader stands in an epoch that is past.
            self.read().await?;
            return Ok(None);
        };
        if event.position.number <= seen.number {
            // Read from the store before.
            return Ok(None);
        }
        if event.position.number > seen.number + 1 {
            self.target = Some(after.clone());
            return Ok(None);
        }
        self.cursor.advance(event);
        if !self.is_selected(event) {
            self.cursor_due = self.feed.messages.is_empty();
            return Ok(None);
        }
        let cursor = if self.cursor == *after {
            next.encoded_cursor()
        } else {
            self.cursor.encode()
        };
        Ok(Some(WatchedAll {
            transaction: Some(Arc::clone(&event.transaction)),
            cursor,
        }))
    }

    /// Returns true when the watcher wants an event, which counts as told then.
    fn is_selected(&self, event: &Event) -> bool {
        let now = (self.ledger.ambient.now)();
        let since = now.duration_since(event.transaction.updated_at());
        self.ledger.metrics.watch_lag(since.as_secs_f64());
        let account = self
            .ledger
            .accounts
            .present_name(event.transaction.account());
        self.accounts.is_empty() || self.accounts.contains(account)
    }

    /// Returns true while the store is to be read, up to the target.
    fn is_behind(&mut self) -> bool {
        let Some(target) = &self.target else {
            return false;
        };
        let own = &self.cursor;
        if target.epoch != own.epoch || target.positions.len() != own.positions.len() {
            // The store was read with our cursor, which it would have refused in another
            // epoch. So the reader stands in an epoch that is past, and will begin again.
            self.target = None;
            return false;
        }
        let pairs = || own.positions.iter().zip(&target.positions);
        if pairs().any(|(own, target)| own.number < target.number) {
            return true;
        }
        if pairs().all(|(own, target)| own.number == target.number) {
            // In step with the reader from here on, to the letter.
            self.cursor.clone_from(target);
        }
        self.target = None;
        false
    }

    /// Reads from the store.
    async fn read(&mut self) -> Result<(), WatchError> {
        if self.ledger.stopping.is_cancelled() {
            return Err(WatchError::Stopping);
        }
        let Events::Next(events) = self.ledger.store.events_after(&self.cursor).await? else {
            return Err(OUT_OF_RANGE);
        };
        if events.is_empty() && self.is_behind() {
            // What the reader has passed on is gone: the store went back.
            return Err(OUT_OF_RANGE);
        }
        self.pending.extend(events);
        Ok(())
    }

    fn with_cursor(&self, transaction: Option<Arc<Transaction>>) -> WatchedAll {
        WatchedAll {
            transaction,
            cursor: self.cursor.encode(),
        }
    }
}

impl Drop for WatchAll {
    fn drop(&mut self) {
        self.ledger.metrics.watcher("all", -1);
    }
}
