//! SHELL: claim, send, fold, compare-and-save, publish.
//!
//! Everything that decides is in `transaction`; this module acts. A purchase runs
//! in a task of its own from the claim on, so that neither a caller's cancel nor
//! its deadline nor a shutdown can abort a POST that has started (promise 14).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info, info_span, warn};

pub use crate::okebayar::{
    inquiry::{Customer, Found, Question},
    pln::{PlnBill, PlnPostpaid, PlnPrepaid},
    verdict::Refusal,
};
use crate::{
    accounts::{AccountDirectory, CallSlots, Upstreams},
    ambient::Ambient,
    callbacks::orphan_checks::Orphans,
    checks::unconfigured::SetAside,
    config::Limits,
    failover::{FailoverGuard, GuardSettings},
    ledger::{
        feed::Feed,
        hub::{Hub, Pace, Poll},
    },
    purchase::{abandonment::Unfinished, claims::Claims},
    queries::in_flight::Inquiring,
    sales::guard::Sales,
    store::{Commit, Store, StoreError},
    telemetry::Metrics,
    transaction::{
        AccountName, AttemptToken, Change, Named, Rules, Schedule, Standing, TraceCode, Transaction,
    },
};

/// What the engine needs to know.
pub struct Settings {
    /// What is allowed at once.
    pub limits: Limits,
    /// The longest time from a claim to its POST. The first check of what is being sent
    /// comes no sooner than that and the upstream time-out.
    pub send_within: Duration,
    /// When transactions are checked.
    pub schedule: Schedule,
    /// How evidence is judged.
    pub rules: Rules,
    /// What is held back after the store may have lost something.
    pub guard: GuardSettings,
    /// The time between two reads of a waiter while wake-ups do not arrive.
    pub poll_interval: Duration,
    /// The time between two reads of a waiter while they arrive.
    pub safety_poll_interval: Duration,
    /// Where it is measured.
    pub metrics: Metrics,
}

/// Acts on transactions.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) accounts: Arc<AccountDirectory>,
    /// Due transactions that are left to other gateways.
    pub(crate) set_aside: SetAside,
    pub(crate) settings: Settings,
    pub(crate) ambient: Ambient,
    pub(crate) hub: Hub,
    /// What the reader of all events passes on.
    pub(crate) feed: Feed,
    /// Callbacks about unknown reference codes that may be asked about.
    pub(crate) orphans: Orphans,
    /// One for each watcher, and one for each caller that waits for an outcome.
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) waiters: Semaphore,
    pub(crate) failover: Arc<FailoverGuard>,
    /// One for each purchase that waits to be sent or is being sent.
    pub(crate) queue: Arc<Semaphore>,
    pub(crate) slots: Arc<CallSlots>,
    /// Purchases that wait for the store alone.
    pub(crate) unfinished: Unfinished,
    /// Claims that have begun and not ended.
    pub(crate) claims: Claims,
    /// Inquiries that may have been sold and are not stored yet.
    pub(crate) sales: Sales,
    /// Inquiries under callers' reference codes that have not ended.
    pub(crate) inquiring: Inquiring,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Wakes the reconciler: something may have become due.
    pub(crate) due: Notify,
}

impl Engine {
    /// An engine over a store and the configured accounts.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        upstreams: Upstreams,
        settings: Settings,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let hub = Hub::new(Arc::clone(&store));
        let failover = Arc::new(FailoverGuard::new(
            Arc::clone(&store),
            settings.guard,
            hub.clone(),
            settings.metrics.clone(),
            ambient,
        ));
        Arc::new(Self {
            accounts: Arc::clone(upstreams.directory()),
            set_aside: SetAside::default(),
            queue: Arc::new(Semaphore::new(settings.limits.queue)),
            slots: Arc::new(CallSlots::new(
                settings.limits.sending,
                settings.limits.queue_timeout,
            )),
            watchers: Arc::new(Semaphore::new(settings.limits.watchers)),
            waiters: Semaphore::new(settings.limits.waiters),
            hub,
            feed: Feed::default(),
            orphans: Orphans::default(),
            unfinished: Unfinished::new(settings.limits.queue),
            claims: Claims::default(),
            sales: Sales::default(),
            inquiring: Inquiring::default(),
            store,
            upstreams: Arc::new(upstreams),
            settings,
            ambient,
            failover,
            tasks: TaskTracker::new(),
            stopping,
            due: Notify::new(),
        })
    }

    /// The store, and who waits for its changes: for `events::relay`.
    #[must_use]
    pub fn events(&self) -> (Arc<dyn Store>, Hub) {
        (Arc::clone(&self.store), self.hub.clone())
    }

    /// Returns the failover guard.
    #[must_use]
    pub fn failover(&self) -> &FailoverGuard {
        &self.failover
    }

    /// What runs in the background: the shutdown waits for it.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Returns the names of the configured accounts.
    #[must_use]
    pub fn accounts(&self) -> &AccountDirectory {
        &self.accounts
    }

    /// Loads the transaction that a caller names; `None` also when another account paid.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load(&self, named: &Named) -> Result<Option<Arc<Transaction>>, StoreError> {
        let loaded = self.store.load(&named.key).await?;
        Ok(loaded.filter(|found| {
            self.accounts
                .is_meant(found.account(), named.account.as_ref())
        }))
    }

    /// Loads the transactions that have a trace code, by a best-effort index: those of
    /// one account, or of all. OKEBAYAR's trace codes are unique, so there is one at most,
    /// unless the accounts are at different installations.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load_by_trace(
        &self,
        account: Option<&AccountName>,
        trace_code: &TraceCode,
    ) -> Result<Vec<Arc<Transaction>>, StoreError> {
        let mut found: Vec<Arc<Transaction>> = Vec::new();
        // The index has the account names of the records.
        for name in self.accounts.names_of(account) {
            let Some(key) = self.store.find_by_trace(name, trace_code).await? else {
                continue;
            };
            let Some(loaded) = self.store.load(&key).await? else {
                continue;
            };
            if found.iter().all(|known| known.key() != loaded.key()) {
                found.push(loaded);
            }
        }
        Ok(found)
    }

    /// Where it is measured.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }

    /// Starts the clock of one waiter that also reads the store of its own accord.
    pub(crate) fn poll(&self) -> Poll {
        self.hub.poll(Pace {
            deaf: self.settings.poll_interval,
            listening: self.settings.safety_poll_interval,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.ambient.now)()
    }

    pub(crate) fn token(&self) -> AttemptToken {
        AttemptToken::new((self.ambient.random)())
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.settings.schedule
    }

    /// Makes a change and commits it, starting again from what is stored as long
    /// as somebody else was faster. `change` returns `None` when there is nothing
    /// to change. Adding evidence twice changes nothing, so a commit whose reply
    /// was lost may simply be made again.
    pub(crate) async fn update(
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

    /// Commits a change; `Err` holds what is stored instead. A record that the store has
    /// lost is written again: what is known of it is here.
    pub(crate) async fn commit(
        &self,
        current: &Transaction,
        next: Change,
    ) -> Result<Result<Arc<Transaction>, Arc<Transaction>>, StoreError> {
        let (before, after) = (current.standing(), next.transaction.standing());
        let span = info_span!(
            "save",
            okebayar.account = %current.account(),
            okebayar.referencecode = %current.reference_code(),
            okebayar.tracecode = after.trace_code.as_ref().map(tracing::field::display),
            okebayar.status = after.code.map(tracing::field::display),
            okebayar.state.before = before.state.name(),
            okebayar.state.after = after.state.name(),
        );
        let saving = async {
            let indexing = self.index_trace(current, &before, &after);
            tokio::join!(indexing, self.store.commit(&next, None))
        };
        let ((), committed) = saving.instrument(span).await;
        let mut committed = committed?;
        if matches!(committed, Commit::Conflict(None)) {
            warn!(key = %current.key(), "the store has lost a record; it is written again");
            let anew = next.rewritten();
            committed = self.store.commit(&anew, None).await?;
            if matches!(committed, Commit::Done) {
                self.committed(current, &anew, (&before, &after));
                return Ok(Ok(anew.transaction));
            }
        }
        match committed {
            Commit::Done => {
                self.committed(current, &next, (&before, &after));
                Ok(Ok(next.transaction))
            }
            Commit::Conflict(Some(stored)) => Ok(Err(stored)),
            Commit::Conflict(None) | Commit::OtherHistory => Err(StoreError::Corrupt {
                key: current.key().to_string(),
                problem: "it comes and goes".to_owned(),
            }),
        }
    }

    /// Notes a trace code that is new, on a best effort by contract: the reference
    /// code always finds the transaction. Done before anybody is told of the trace
    /// code, so that whoever is told can use it.
    async fn index_trace(&self, of: &Transaction, before: &Standing, after: &Standing) {
        if let Some(new) = &after.trace_code
            && before.trace_code.as_ref() != Some(new)
        {
            let _ = self.store.index_trace(&of.key(), of.account(), new).await;
        }
    }

    /// Tells of a committed change: waiters, the log, and the reconciler.
    fn committed(
        &self,
        from: &Transaction,
        change: &Change,
        (before, after): (&Standing, &Standing),
    ) {
        let transaction = &change.transaction;
        self.hub.publish(transaction);
        if before.state != after.state {
            let age = self.now().duration_since(transaction.armed_at());
            self.metrics().transition(
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
            self.due.notify_one();
        }
    }
}
