//! SHELL: claim, send, fold, compare-and-save, publish.
//!
//! Everything that decides is in `transaction`; this module acts. A purchase runs
//! in a task of its own from the claim on, so that neither a caller's cancel nor
//! its deadline nor a shutdown can abort a POST that has started (promise 14).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
        Ledger, LedgerLimits,
        hub::{Hub, Pace},
    },
    purchase::{abandonment::Unfinished, claims::Claims},
    queries::in_flight::Inquiring,
    sales::guard::Sales,
    store::Store,
    telemetry::Metrics,
    transaction::{AttemptToken, Rules, Schedule},
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
    /// Callbacks about unknown reference codes that may be asked about.
    pub(crate) orphans: Orphans,
    pub(crate) failover: Arc<FailoverGuard>,
    pub(crate) ledger: Arc<Ledger>,
    hub: Hub,
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
        let limits = LedgerLimits {
            watchers: settings.limits.watchers,
            waiters: settings.limits.waiters,
            pace: Pace {
                deaf: settings.poll_interval,
                listening: settings.safety_poll_interval,
            },
        };
        let ledger = Arc::new(Ledger::new(
            Arc::clone(&store),
            Arc::clone(upstreams.directory()),
            hub.clone(),
            limits,
            settings.metrics.clone(),
            ambient,
            stopping.clone(),
        ));
        Arc::new(Self {
            ledger,
            hub,
            accounts: Arc::clone(upstreams.directory()),
            set_aside: SetAside::default(),
            queue: Arc::new(Semaphore::new(settings.limits.queue)),
            slots: Arc::new(CallSlots::new(
                settings.limits.sending,
                settings.limits.queue_timeout,
            )),
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

    /// Records how many purchases are queued and how many calls are in flight, as gauges.
    pub fn record_occupancy(&self) {
        self.metrics().queue(
            self.settings.limits.queue - self.queue.available_permits(),
            self.slots.in_use(),
        );
    }

    /// Returns the names of the configured accounts.
    #[must_use]
    pub fn accounts(&self) -> &AccountDirectory {
        &self.accounts
    }

    /// Returns the transactions and those who follow them.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Where it is measured.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.settings.metrics
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
}
