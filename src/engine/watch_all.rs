//! Following every transaction, from a cursor (promise 13).

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::watch;

use super::{Engine, WatchError};
use crate::{
    store::{Cursor, Event, Events},
    transaction::{AccountName, Transaction},
};

/// One watcher of everything.
pub struct WatchAll {
    engine: Arc<Engine>,
    /// Only these accounts; empty for all.
    accounts: Vec<AccountName>,
    changes: watch::Receiver<u64>,
    /// Behind what was handed out.
    cursor: Cursor,
    waiting: VecDeque<Event>,
    /// The watcher is owed a cursor, even without a transaction.
    tell_cursor: bool,
}

/// What a watcher of everything is told.
#[derive(Debug)]
pub struct WatchedAll {
    /// A change; `None` when only the cursor is new.
    pub transaction: Option<Arc<Transaction>>,
    /// Where to resume after this.
    pub cursor: String,
}

impl Engine {
    /// Watches every transaction: from a cursor on, or from now. The first thing told
    /// is then the cursor of now.
    ///
    /// # Errors
    /// [`WatchError`] when the store does not answer.
    pub async fn watch_all(
        self: &Arc<Self>,
        accounts: Vec<AccountName>,
        from: Option<Cursor>,
    ) -> Result<WatchAll, WatchError> {
        // Subscribed before reading, so that no change falls in between.
        let changes = self.hub.subscribe_all();
        let tell_cursor = from.is_none();
        let cursor = match from {
            Some(cursor) => cursor,
            None => self.store.events_head().await?,
        };
        self.metrics().watcher("all", 1);
        let mut watch = WatchAll {
            engine: Arc::clone(self),
            accounts,
            changes,
            cursor,
            waiting: VecDeque::new(),
            tell_cursor,
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
            if std::mem::take(&mut self.tell_cursor) {
                return Ok(self.told(None));
            }
            while let Some(event) = self.waiting.pop_front() {
                self.cursor.advance(&event);
                let since = self
                    .engine
                    .now()
                    .duration_since(event.transaction.updated_at());
                self.engine.metrics().watch_lag(since.as_secs_f64());
                let account = self.engine.names.current(event.transaction.account());
                if self.accounts.is_empty() || self.accounts.contains(account) {
                    return Ok(self.told(Some(event.transaction)));
                }
                // Those who see little must not fall behind what is kept.
                self.tell_cursor = self.waiting.is_empty();
            }
            if self.tell_cursor {
                continue;
            }
            if self.read().await? {
                continue;
            }
            let stopping = &self.engine.stopping;
            tokio::select! {
                // The sender lives as long as the engine.
                _ = self.changes.changed() => {}
                () = tokio::time::sleep(self.engine.settings.poll_interval) => {}
                () = stopping.cancelled() => return Err(WatchError::Stopping),
            }
        }
    }

    /// Reads more; `false` when there is none yet.
    async fn read(&mut self) -> Result<bool, WatchError> {
        if self.engine.stopping.is_cancelled() {
            return Err(WatchError::Stopping);
        }
        // What changes from here on wakes again.
        self.changes.mark_unchanged();
        match self.engine.store.events_after(&self.cursor).await? {
            Events::Next(events) => self.waiting.extend(events),
            Events::OutOfRange => {
                return Err(WatchError::OutOfRange(
                    "changes after that cursor are no longer kept, or it belongs to another \
                     history of the store",
                ));
            }
        }
        Ok(!self.waiting.is_empty())
    }

    fn told(&self, transaction: Option<Arc<Transaction>>) -> WatchedAll {
        WatchedAll {
            transaction,
            cursor: self.cursor.encode(),
        }
    }
}

impl Drop for WatchAll {
    fn drop(&mut self) {
        self.engine.metrics().watcher("all", -1);
    }
}
