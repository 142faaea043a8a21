//! The records of transactions: load, compare-and-set, publish.

use std::sync::{Arc, atomic::AtomicU32};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use super::{
    due_soon::DueSoon,
    feed::Feed,
    hub::{CommitInFlight, Hub, Pace, Poll, Subscription},
    price_notes::PriceNotes,
    watch_timer::WatchTimes,
};
use crate::{
    accounts::AccountDirectory,
    ambient::Ambient,
    store::{Commit, DueCheck, Store, StoreError},
    telemetry::Metrics,
    transaction::{
        AccountName, Change, TraceCode, Transaction, TransactionKey, TransactionRef,
        TransactionStatus,
    },
};

/// The limits of the ledger's readers.
#[derive(Clone, Copy, Debug)]
pub struct LedgerLimits {
    /// The most concurrent watches.
    pub watchers: usize,
    /// The times of each watch.
    pub watch_times: WatchTimes,
    /// The most concurrent calls that wait for an outcome.
    pub waiters: usize,
    /// The poll intervals of waiters and watchers.
    pub pace: Pace,
}

/// The transactions of one store, and their subscribers.
pub struct Ledger {
    pub(super) store: Arc<dyn Store>,
    pub(super) accounts: Arc<AccountDirectory>,
    pub(super) hub: Hub,
    pub(super) feed: Feed,
    pub(super) watchers: Arc<Semaphore>,
    pub(super) watch_times: WatchTimes,
    /// The number of watches begun so far, which spreads their ends.
    pub(super) watches_begun: AtomicU32,
    pub(super) waiters: Semaphore,
    pub(super) metrics: Metrics,
    pub(super) ambient: Ambient,
    pub(super) stopping: CancellationToken,
    pace: Pace,
    pub(super) price_notes: PriceNotes,
    due_soon: DueSoon,
}

impl Ledger {
    /// Builds the ledger of a store; `hub` notifies its subscribers.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        accounts: Arc<AccountDirectory>,
        hub: Hub,
        limits: LedgerLimits,
        metrics: Metrics,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            store,
            accounts,
            hub,
            feed: Feed::default(),
            watchers: Arc::new(Semaphore::new(limits.watchers)),
            watch_times: limits.watch_times,
            watches_begun: AtomicU32::new(0),
            waiters: Semaphore::new(limits.waiters),
            metrics,
            ambient,
            stopping,
            pace: limits.pace,
            price_notes: PriceNotes::default(),
            due_soon: DueSoon::default(),
        }
    }

    /// Loads a transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.store.load(key).await
    }

    /// Loads the transaction that a caller names; `None` also when it belongs to another account.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn find(
        &self,
        named: &TransactionRef,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let loaded = self.store.load(&named.key).await?;
        let account = named.account.as_ref();
        Ok(loaded.filter(|found| self.accounts.is_meant(found.account(), account)))
    }

    /// Loads the transactions that have a trace code, by a best-effort index: those of one account,
    /// or of all accounts. OKEBAYAR's trace codes are unique, so there is at most one, unless the
    /// accounts belong to different installations.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read; [`StoreError::Retired`] when the index names
    /// only a transaction that was retired.
    pub async fn find_by_trace(
        &self,
        account: Option<&AccountName>,
        trace_code: &TraceCode,
    ) -> Result<Vec<Arc<Transaction>>, StoreError> {
        let mut found: Vec<Arc<Transaction>> = Vec::new();
        let mut retired = None;
        // The index holds the account names of the records, former names included.
        for name in self.accounts.names_of(account) {
            let Some(key) = self.store.find_by_trace(name, trace_code).await? else {
                continue;
            };
            let loaded = match self.store.load(&key).await {
                Ok(Some(loaded)) => loaded,
                Ok(None) => continue,
                Err(StoreError::Retired(tombstone)) => {
                    retired = Some(tombstone);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if found.iter().all(|known| known.key() != loaded.key()) {
                found.push(loaded);
            }
        }
        match retired {
            Some(tombstone) if found.is_empty() => Err(StoreError::Retired(tombstone)),
            _ => Ok(found),
        }
    }

    /// Applies a change and commits it; on a conflict, applies it again to the stored record.
    /// `change` returns `None` when there is nothing to change. Adding evidence is idempotent, so a
    /// commit with an indeterminate result is safe to retry.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the change may be stored.
    pub async fn update(
        &self,
        mut current: Arc<Transaction>,
        change: impl Fn(&Transaction) -> Option<Change>,
    ) -> Result<Arc<Transaction>, StoreError> {
        loop {
            let Some(next) = info_span!("fold").in_scope(|| change(&current)) else {
                return Ok(current);
            };
            match self.commit(&current, next).await? {
                Ok(committed) => return Ok(committed),
                Err(stored) => current = stored,
            }
        }
    }

    /// Commits a change; the inner `Err` holds the record that is stored instead. Rewrites a record
    /// that the store has lost.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the change may be stored.
    pub async fn commit(
        &self,
        current: &Transaction,
        next: Change,
    ) -> Result<Result<Arc<Transaction>, Arc<Transaction>>, StoreError> {
        let (before, after) = (current.status(), next.transaction.status());
        let span = info_span!(
            "save",
            okebayar.account = %current.account(),
            okebayar.referencecode = %current.reference_code(),
            okebayar.tracecode = after.trace_code.as_ref().map(tracing::field::display),
            okebayar.status = after.code.map(tracing::field::display),
            okebayar.state.before = before.state.name(),
            okebayar.state.after = after.state.name(),
        );
        let _committing = self.committing(&next.transaction);
        let saving = async {
            let indexing = self.index_trace(current, &before, &after);
            let pricing = self.remember_price(current, &next.transaction);
            tokio::join!(indexing, pricing, self.store.commit(&next, None))
        };
        let ((), (), committed) = saving.instrument(span).await;
        let mut committed = committed?;
        if matches!(committed, Commit::Conflict(None)) {
            warn!(key = %current.key(), "store has lost a record; rewriting it");
            let anew = next.rewritten();
            let _committing = self.committing(&anew.transaction);
            committed = self.store.commit(&anew, None).await?;
            if matches!(committed, Commit::Done) {
                self.announce(current, &anew, (&before, &after));
                return Ok(Ok(anew.transaction));
            }
        }
        match committed {
            Commit::Done => {
                self.announce(current, &next, (&before, &after));
                Ok(Ok(next.transaction))
            }
            Commit::Conflict(Some(stored)) => Ok(Err(stored)),
            Commit::Conflict(None) | Commit::OtherEpoch => Err(StoreError::Corrupt {
                key: current.key().to_string(),
                problem: "the record repeatedly appears and disappears".to_owned(),
            }),
        }
    }

    /// Registers a commit that does not pass through [`Self::commit`], until the returned value is
    /// dropped: after [`Self::publish`], if it is stored.
    #[must_use]
    pub fn committing(&self, transaction: &Transaction) -> CommitInFlight {
        self.hub.committing(transaction)
    }

    /// Notifies subscribers of a version that this process committed.
    pub fn publish(&self, transaction: &Arc<Transaction>) {
        self.hub.publish(transaction);
    }

    /// Subscribes to the changes of a transaction from now on.
    #[must_use]
    pub fn subscribe(&self, key: &TransactionKey) -> Subscription {
        self.hub.subscribe(key)
    }

    /// Takes the status checks that commits of this process made due soon, with the times at which
    /// they are due. From now on, those that are due by `until` are kept for the next call.
    #[must_use]
    pub fn take_due_soon(&self, until: Timestamp) -> Vec<(Timestamp, DueCheck)> {
        self.due_soon.take(until)
    }

    /// Waits until a commit of this process has made a status check due soon.
    pub async fn due_soon_added(&self) {
        self.due_soon.added().await;
    }

    /// Starts the poll timer of one subscriber.
    pub(super) fn poll(&self) -> Poll {
        self.hub.poll(self.pace)
    }

    /// Indexes a new trace code, before the record that carries it is announced. The index is best
    /// effort by contract, so errors are ignored: the reference code always finds the transaction.
    async fn index_trace(
        &self,
        of: &Transaction,
        before: &TransactionStatus,
        after: &TransactionStatus,
    ) {
        if let Some(new) = &after.trace_code
            && before.trace_code.as_ref() != Some(new)
        {
            let _ = self.store.index_trace(&of.key(), of.account(), new).await;
        }
    }

    /// Notifies subscribers, the log and the reconciler of a committed change.
    fn announce(
        &self,
        from: &Transaction,
        change: &Change,
        (before, after): (&TransactionStatus, &TransactionStatus),
    ) {
        let transaction = &change.transaction;
        self.hub.publish(transaction);
        if before.state != after.state {
            let age = (self.ambient.now)().duration_since(transaction.armed_at());
            self.metrics.transition(
                transaction.contents().operation(),
                &before.state,
                &after.state,
                age.as_secs_f64(),
            );
            info!(
                account = %transaction.account(),
                reference_code = %transaction.reference_code(),
                from = before.state.name(),
                to = after.state.name(),
                status_code = after.code.map(tracing::field::display),
                trace_code = after.trace_code.as_ref().map(tracing::field::display),
                revision = transaction.revision(),
                "transaction changed"
            );
        }
        if transaction.due_at() != from.due_at() {
            self.due_soon.add(transaction);
        }
    }
}
