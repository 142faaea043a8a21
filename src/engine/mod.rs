//! SHELL: claim, send, fold, compare-and-save, publish.
//!
//! Everything that decides is in `transaction`; this module acts. A purchase runs
//! in a task of its own from the claim on, so that neither a caller's cancel nor
//! its deadline nor a shutdown can abort a POST that has started (promise 14).

mod abandonment;
mod bill;
mod callback;
mod check;
mod guard;
mod list;
mod purchase;
mod question;
mod review;
mod wait;
mod watch;
mod watch_all;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

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
    ambient::Ambient,
    config::Limits,
    events::Hub,
    okebayar::client::Client,
    store::{
        Commit, Store, StoreError,
        guard::{Guard, GuardSettings},
    },
    telemetry::Metrics,
    transaction::{
        AccountName, AttemptToken, Change, Rules, Schedule, Standing, TraceCode, Transaction,
        TransactionKey,
    },
};
use abandonment::Unfinished;
pub use callback::Received;
pub use check::{Checked, LeasedCheck};
pub use list::{ListQuery, Page};
pub use purchase::{Purchase, PurchaseError};
pub use question::QuestionError;
pub use review::ResolveError;
pub use wait::{Wait, WaitUntil};
pub use watch::{Watch, WatchError};
pub use watch_all::{WatchAll, WatchedAll};

/// One OKEBAYAR account, ready to be used.
pub struct Upstream {
    /// Talks to OKEBAYAR.
    pub client: Client,
    /// The longest one call takes.
    pub timeout: Duration,
    /// Believe callbacks without a confirming check.
    pub callback_trusted: bool,
    /// Prepaid inquiries go under reference codes of the gateway's own.
    pub own_inquiry_reference: bool,
}

/// What the engine needs to know.
pub struct Settings {
    /// What is allowed at once.
    pub limits: Limits,
    /// When transactions are checked.
    pub schedule: Schedule,
    /// How evidence is judged.
    pub rules: Rules,
    /// What is held back after the store may have lost something.
    pub guard: GuardSettings,
    /// How often a waiter reads the store for changes that it was not told of.
    pub poll_interval: Duration,
    /// Where it is measured.
    pub metrics: Metrics,
}

/// Acts on transactions.
pub struct Engine {
    store: Arc<dyn Store>,
    upstreams: BTreeMap<AccountName, Upstream>,
    settings: Settings,
    ambient: Ambient,
    hub: Hub,
    /// What was last seen of the store's history.
    guard: Mutex<Option<Guard>>,
    /// One for each purchase that waits to be sent or is being sent.
    queue: Arc<Semaphore>,
    /// One for each purchase that is being sent.
    sending: Semaphore,
    /// Purchases that wait for the store alone.
    unfinished: Unfinished,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Wakes the reconciler: something may have become due.
    due: Notify,
}

impl Engine {
    /// An engine over a store and the configured accounts.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        upstreams: BTreeMap<AccountName, Upstream>,
        settings: Settings,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::new(Semaphore::new(settings.limits.queue)),
            sending: Semaphore::new(settings.limits.sending),
            unfinished: Unfinished::new(settings.limits.queue),
            store,
            upstreams,
            settings,
            ambient,
            hub: Hub::default(),
            guard: Mutex::new(None),
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

    /// What runs in the background: the shutdown waits for it.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// True when the account is configured.
    #[must_use]
    pub fn has_account(&self, account: &AccountName) -> bool {
        self.upstreams.contains_key(account)
    }

    /// The transaction as stored.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load(&self, key: &TransactionKey) -> Result<Option<Arc<Transaction>>, StoreError> {
        self.store.load(key).await
    }

    /// The transaction of a trace code, by a best-effort index.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load_by_trace(
        &self,
        account: &AccountName,
        trace_code: &TraceCode,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        match self.store.find_by_trace(account, trace_code).await? {
            Some(key) => self.store.load(&key).await,
            None => Ok(None),
        }
    }

    /// Verifies that the store answers and may be used, and has lost nothing.
    ///
    /// # Errors
    /// [`StoreError`] when it does not, or may not. A loss is no error: it turns the
    /// guard on.
    pub async fn verify_store(&self) -> Result<(), StoreError> {
        self.store.verify().await?;
        self.refresh_guard().await.map(drop)
    }

    /// Where it is measured.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }

    fn now(&self) -> Timestamp {
        (self.ambient.now)()
    }

    fn token(&self) -> AttemptToken {
        AttemptToken::new((self.ambient.random)())
    }

    fn schedule(&self) -> &Schedule {
        &self.settings.schedule
    }

    /// Makes a change and commits it, starting again from what is stored as long
    /// as somebody else was faster. `change` returns `None` when there is nothing
    /// to change. Adding evidence twice changes nothing, so a commit whose reply
    /// was lost may simply be made again.
    async fn update(
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
    async fn commit(
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
            let key = current.key();
            let indexing = self.index_trace(&key, &before, &after);
            tokio::join!(indexing, self.store.commit(&next, None))
        };
        let ((), committed) = saving.instrument(span).await;
        let mut committed = committed?;
        if matches!(committed, Commit::Conflict(None)) {
            warn!(key = %current.key(), "the store has lost a record; it is written again");
            let anew = Change {
                from: None,
                is_event: true,
                ..next.clone()
            };
            committed = self.store.commit(&anew, None).await?;
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
    async fn index_trace(&self, key: &TransactionKey, before: &Standing, after: &Standing) {
        if let Some(new) = &after.trace_code
            && before.trace_code.as_ref() != Some(new)
        {
            let _ = self.store.index_trace(key, new).await;
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
