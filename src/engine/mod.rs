//! SHELL: claim, send, fold, compare-and-save, publish.
//!
//! Everything that decides is in `transaction`; this module acts. A purchase runs
//! in a task of its own from the claim on, so that neither a caller's cancel nor
//! its deadline nor a shutdown can abort a POST that has started (promise 14).

mod abandonment;
mod bill;
mod bill_guard;
mod callback;
mod check;
mod claims;
mod feed;
mod guard;
mod inquiring;
mod limits;
mod list;
mod orphan;
mod purchase;
mod question;
mod review;
mod sale;
mod sale_guard;
mod unconfigured;
mod wait;
mod watch;
mod watch_all;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
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
    events::{Hub, Pace, Poll},
    okebayar::client::Client,
    store::{
        Commit, Store, StoreError,
        guard::{Guard, GuardSettings},
    },
    telemetry::Metrics,
    transaction::{
        AccountName, AccountNames, AttemptToken, Change, Named, Rules, Schedule, Standing,
        TraceCode, Transaction,
    },
};
use abandonment::Unfinished;
use claims::Claims;
use feed::Feed;
use inquiring::Inquiring;
use orphan::Orphans;
use sale_guard::Sales;

pub use callback::Received;
pub use check::{CheckError, Checked, LeasedCheck};
pub use list::{ListQuery, Page};
pub use purchase::{Holder, Purchase, PurchaseError, Sent};
pub use question::QuestionError;
pub use review::ResolveError;
pub use sale::{Kept, Sale};
use unconfigured::SetAside;
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
    /// The former names of the account.
    pub formerly: Vec<AccountName>,
}

/// What the engine needs to know.
pub struct Settings {
    /// The account of purchases that name none.
    pub default_account: AccountName,
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

/// The longest a verification of the store may take.
pub const VERIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// Acts on transactions.
pub struct Engine {
    store: Arc<dyn Store>,
    /// The problem that the last verification of the store found.
    store_problem: Mutex<Option<String>>,
    upstreams: BTreeMap<AccountName, Upstream>,
    names: AccountNames,
    /// Due transactions that are left to other gateways.
    set_aside: SetAside,
    settings: Settings,
    ambient: Ambient,
    hub: Hub,
    /// What the reader of all events passes on.
    feed: Feed,
    /// Callbacks about unknown reference codes that may be asked about.
    orphans: Orphans,
    /// One for each watcher, and one for each caller that waits for an outcome.
    watchers: Arc<Semaphore>,
    waiters: Semaphore,
    /// What was last seen of the store's history.
    guard: Mutex<Option<Guard>>,
    /// One for each purchase that waits to be sent or is being sent.
    queue: Arc<Semaphore>,
    /// One for each purchase that is being sent.
    sending: Semaphore,
    /// Purchases that wait for the store alone.
    unfinished: Unfinished,
    /// Claims that have begun and not ended.
    claims: Claims,
    /// Inquiries that may have been sold and are not stored yet.
    sales: Sales,
    /// Inquiries under callers' reference codes that have not ended.
    inquiring: Inquiring,
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
        let names = upstreams.iter().flat_map(|(name, upstream)| {
            let former = upstream.formerly.iter();
            former.map(|former| (former.clone(), name.clone()))
        });
        Arc::new(Self {
            names: AccountNames::new(names),
            set_aside: SetAside::default(),
            queue: Arc::new(Semaphore::new(settings.limits.queue)),
            sending: Semaphore::new(settings.limits.sending),
            watchers: Arc::new(Semaphore::new(settings.limits.watchers)),
            waiters: Semaphore::new(settings.limits.waiters),
            hub: Hub::new(Arc::clone(&store)),
            feed: Feed::default(),
            orphans: Orphans::default(),
            unfinished: Unfinished::new(settings.limits.queue),
            claims: Claims::default(),
            sales: Sales::default(),
            inquiring: Inquiring::default(),
            store,
            store_problem: Mutex::new(None),
            upstreams,
            settings,
            ambient,
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

    /// Returns true when the account is configured, under this name.
    #[must_use]
    pub fn has_account(&self, account: &AccountName) -> bool {
        self.upstreams.contains_key(account)
    }

    /// Returns how many accounts are configured.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.upstreams.len()
    }

    /// Returns the account by any of its names, as a transaction's record may carry a
    /// former one; `None` where it is not configured.
    #[must_use]
    pub fn upstream(&self, account: &AccountName) -> Option<&Upstream> {
        self.upstreams.get(self.names.current(account))
    }

    /// Returns the present name of an account, by any of its names; `None` where it is not
    /// configured.
    #[must_use]
    pub fn current_account(&self, account: &AccountName) -> Option<AccountName> {
        let current = self.names.current(account);
        self.has_account(current).then(|| current.clone())
    }

    /// Returns the present and the former names of the accounts.
    #[must_use]
    pub fn names(&self) -> &AccountNames {
        &self.names
    }

    /// The account of purchases that name none.
    #[must_use]
    pub fn default_account(&self) -> &AccountName {
        &self.settings.default_account
    }

    /// Returns true when a transaction of `account` is what a caller means who names `named`,
    /// by any of its names.
    fn is_account(&self, account: &AccountName, named: Option<&AccountName>) -> bool {
        named.is_none_or(|named| self.names.is_same(named, account))
    }

    /// Returns the names, former ones included, of the account that a caller names, or of
    /// all accounts.
    fn names_of<'a>(
        &'a self,
        named: Option<&'a AccountName>,
    ) -> impl Iterator<Item = &'a AccountName> {
        let accounts = self.upstreams.keys();
        let named = accounts.filter(move |account| self.is_account(account, named));
        named.flat_map(|account| self.names.all(account))
    }

    /// Loads the transaction that a caller names; `None` also when another account paid.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn load(&self, named: &Named) -> Result<Option<Arc<Transaction>>, StoreError> {
        let loaded = self.store.load(&named.key).await?;
        Ok(loaded.filter(|found| self.is_account(found.account(), named.account.as_ref())))
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
        for name in self.names_of(account) {
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

    /// Verifies that the store answers, takes writes and may be used, and has lost
    /// nothing; the result is kept for [`Engine::store_problem`].
    ///
    /// # Errors
    /// [`StoreError`] when it does not, or may not, or gives no answer within
    /// [`VERIFY_TIMEOUT`]. A loss is no error: it turns the guard on.
    pub async fn verify_store(&self) -> Result<(), StoreError> {
        let verifying = async {
            self.store.verify().await?;
            self.refresh_guard().await.map(drop)
        };
        let verified = tokio::time::timeout(VERIFY_TIMEOUT, verifying).await;
        let verified = verified.unwrap_or_else(|_| {
            let problem = format!("no answer to its verification within {VERIFY_TIMEOUT:?}");
            Err(StoreError::Indeterminate(problem))
        });
        let problem = verified.as_ref().err().map(ToString::to_string);
        *self
            .store_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = problem;
        verified
    }

    /// The problem that the last verification of the store found, if it found one. For
    /// operators: it may quote the store's client.
    #[must_use]
    pub fn store_problem(&self) -> Option<String> {
        let problem = self.store_problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it is measured.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }

    /// Starts the clock of one waiter that also reads the store of its own accord.
    fn poll(&self) -> Poll {
        self.hub.poll(Pace {
            deaf: self.settings.poll_interval,
            listening: self.settings.safety_poll_interval,
        })
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
            Commit::Conflict(None) | Commit::OtherEpoch => Err(StoreError::Corrupt {
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
