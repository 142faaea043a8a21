//! The watch of all transactions, from a cursor (promise 13).
//!
//! A watcher first reads the store from its cursor up to the position of the reader of all events,
//! and then receives events from the feed ([`super::feed`]). Each event carries its number in its
//! partition, so the watcher recognizes duplicates and gaps, whatever the order of the two sources.
//! A watcher that falls behind the bounded feed reads the store again from its cursor.
//!
//! The cursor of a watcher advances with every event that it considers, those that its filter
//! excludes included. A heartbeat carries it, so that a watcher of few events resumes after those
//! of others, which may be trimmed by then.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError};

use super::{
    feed::{FeedEvent, FeedMessage, FeedSubscription},
    records::Ledger,
    watch::WatchError,
    watch_timer::WatchTimer,
};
use crate::{
    store::{Cursor, Event, Events},
    transaction::{AccountName, Labels, Transaction},
};

/// The transactions that a watcher of all selects.
#[derive(Debug, Default)]
pub struct WatchFilter {
    /// The accounts of the transactions; empty for all.
    pub accounts: Vec<AccountName>,
    /// The labels that each transaction has. They never change after its first call, so either all
    /// events of a transaction are selected or none.
    pub labels: Labels,
}

/// The watch of all transactions by one caller.
pub struct WatchAll {
    ledger: Arc<Ledger>,
    filter: WatchFilter,
    /// The subscription to the feed of all events.
    feed: FeedSubscription,
    /// The position after the last considered event.
    cursor: Cursor,
    /// Events that this watcher has read from the store itself.
    pending: VecDeque<Event>,
    /// The position up to which this watcher reads the store itself.
    target: Option<Cursor>,
    /// The first result is the cursor alone.
    cursor_due: bool,
    timer: WatchTimer,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// A result of the watch of all transactions.
#[derive(Debug)]
pub struct WatchedAll {
    /// The changed transaction; `None` in the first result of a watch from now on, in a heartbeat
    /// and at the end by age.
    pub transaction: Option<Arc<Transaction>>,
    /// The cursor from which to resume after this result.
    pub cursor: String,
    /// The watch has reached its age, and ends with this result.
    pub expired: bool,
}

const OUT_OF_RANGE: WatchError = WatchError::OutOfRange(
    "changes after that cursor are no longer kept, or the cursor belongs to another epoch of the store",
);

impl Ledger {
    /// Watches all transactions: from a cursor, or from now on. Without a cursor, the first result
    /// is the current cursor.
    ///
    /// # Errors
    /// [`WatchError`] when the store does not answer, the changes after the cursor are no longer
    /// kept, or too many watches are open.
    pub async fn watch_all(
        self: &Arc<Self>,
        filter: WatchFilter,
        from: Option<Cursor>,
    ) -> Result<WatchAll, WatchError> {
        let permit = self.admit_watcher().ok_or(WatchError::TooMany)?;
        if self.stopping.is_cancelled() {
            return Err(WatchError::Stopping);
        }
        // Subscribes before the read, so that no change is lost in between.
        let feed = self.feed.subscribe();
        let cursor_due = from.is_none();
        let cursor = match from {
            Some(cursor) => cursor,
            None => self.store.events_head().await?,
        };
        self.metrics.watcher("all", 1);
        let mut watch = WatchAll {
            ledger: Arc::clone(self),
            filter,
            target: feed.position.clone(),
            feed,
            cursor,
            pending: VecDeque::new(),
            cursor_due,
            timer: self.watch_timer(),
            ended: false,
            _permit: permit,
        };
        // Reads now, to refuse a cursor that cannot be resumed from.
        watch.read().await?;
        Ok(watch)
    }
}

impl WatchAll {
    /// Returns the next change of any selected transaction, and waits for one; a heartbeat when
    /// none comes; `None` when the watch has ended by age.
    ///
    /// # Errors
    /// [`WatchError`] when the watch cannot continue; watch again from the last cursor.
    pub async fn next(&mut self) -> Result<Option<WatchedAll>, WatchError> {
        if self.ended {
            return Ok(None);
        }
        self.timer.await_result();
        loop {
            if self.timer.is_over() {
                // Pending events are left to the watch that resumes.
                self.ended = true;
                return Ok(Some(self.with_cursor(None)));
            }
            if std::mem::take(&mut self.cursor_due) {
                return Ok(Some(self.with_cursor(None)));
            }
            if let Some(event) = self.pending.pop_front() {
                self.cursor.advance(&event);
                if self.is_selected(&event) {
                    return Ok(Some(self.with_cursor(Some(event.transaction))));
                }
            } else if self.is_behind() {
                self.read().await?;
                continue;
            } else if let Some(watched) = self.receive().await? {
                return Ok(Some(watched));
            }
            // Each call considers an event before it returns a heartbeat, if there is one: so
            // heartbeats never keep a watcher from its events.
            if self.timer.is_heartbeat_due() {
                return Ok(Some(self.with_cursor(None)));
            }
        }
    }

    /// Receives a message of the feed; `None` when it selects no event, and when the timer is due.
    async fn receive(&mut self) -> Result<Option<WatchedAll>, WatchError> {
        let message = tokio::select! {
            biased;
            () = self.ledger.stopping.cancelled() => return Err(WatchError::Stopping),
            message = self.feed.messages.recv() => message,
            () = self.timer.due() => return Ok(None),
        };
        match message.as_deref() {
            Ok(FeedMessage::Event(next)) => return self.accept(next).await,
            Ok(FeedMessage::Started(position)) => {
                self.target = Some(position.clone());
                // The reader may have restarted because the store was rolled back.
                self.read().await?;
            }
            Ok(FeedMessage::Failed(error)) => return Err(WatchError::Store(error.clone())),
            Err(RecvError::Lagged(_)) => {
                self.feed = self.ledger.feed.subscribe();
                self.target.clone_from(&self.feed.position);
            }
            // Unreachable: the sender lives as long as the ledger.
            Err(RecvError::Closed) => return Err(WatchError::Stopping),
        }
        Ok(None)
    }

    /// Accepts an event from the feed, if it is the next one of its partition.
    async fn accept(&mut self, next: &FeedEvent) -> Result<Option<WatchedAll>, WatchError> {
        let FeedEvent { event, after, .. } = next;
        let seen = self.cursor.positions.get(event.partition).copied();
        let Some(seen) = seen.filter(|_| after.epoch == self.cursor.epoch) else {
            // The store refuses our cursor, or the reader is still in a past epoch.
            self.read().await?;
            return Ok(None);
        };
        if event.position.number <= seen.number {
            // A duplicate: already read from the store.
            return Ok(None);
        }
        if event.position.number > seen.number + 1 {
            self.target = Some(after.clone());
            return Ok(None);
        }
        self.cursor.advance(event);
        if !self.is_selected(event) {
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
            expired: false,
        }))
    }

    /// Records the lag of an event, and returns true when the filter selects its transaction.
    fn is_selected(&self, event: &Event) -> bool {
        let transaction = &event.transaction;
        let now = (self.ledger.ambient.now)();
        let since = now.duration_since(transaction.updated_at());
        self.ledger.metrics.watch_lag(since.as_secs_f64());
        let WatchFilter { accounts, labels } = &self.filter;
        let account = self.ledger.accounts.present_name(transaction.account());
        (accounts.is_empty() || accounts.contains(account)) && transaction.labels().include(labels)
    }

    /// Returns true while this watcher must read the store, up to the target.
    fn is_behind(&mut self) -> bool {
        let Some(target) = &self.target else {
            return false;
        };
        let own = &self.cursor;
        if target.epoch != own.epoch || target.positions.len() != own.positions.len() {
            // The store accepted our cursor, which it refuses in another epoch. So the reader is
            // still in a past epoch, and will restart.
            self.target = None;
            return false;
        }
        let pairs = || own.positions.iter().zip(&target.positions);
        if pairs().any(|(own, target)| own.number < target.number) {
            return true;
        }
        if pairs().all(|(own, target)| own.number == target.number) {
            // Level with the reader. Takes over its cursor, so that the encoded forms are equal
            // too.
            self.cursor.clone_from(target);
        }
        self.target = None;
        false
    }

    /// Reads the next events from the store.
    async fn read(&mut self) -> Result<(), WatchError> {
        if self.ledger.stopping.is_cancelled() {
            return Err(WatchError::Stopping);
        }
        let Events::Next(events) = self.ledger.store.events_after(&self.cursor).await? else {
            return Err(OUT_OF_RANGE);
        };
        if events.is_empty() && self.is_behind() {
            // The events that the reader published are lost: the store was rolled back.
            return Err(OUT_OF_RANGE);
        }
        self.pending.extend(events);
        Ok(())
    }

    /// Builds a result with the current cursor.
    fn with_cursor(&self, transaction: Option<Arc<Transaction>>) -> WatchedAll {
        WatchedAll {
            transaction,
            cursor: self.cursor.encode(),
            expired: self.ended,
        }
    }
}

impl Drop for WatchAll {
    fn drop(&mut self) {
        self.ledger.metrics.watcher("all", -1);
    }
}
