//! The components of one gateway over one store, and their shared dependencies.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{AccountDirectory, CallSlots, Upstreams},
    ambient::Ambient,
    callbacks::{CallbackRecorder, OrphanQueue},
    checks::{Checks, SkippedChecks},
    config::Limits,
    failover::{FailoverGuard, GuardSettings},
    inquiries::InquiryRecords,
    ledger::{
        Ledger, LedgerLimits, WatchTimes,
        hub::{Hub, Pace},
    },
    purchase::{ClaimsInFlight, PurchaseSettings, Purchases, Unfinished},
    queries::{InquiriesInFlight, Queries},
    retention::{Retention, RetentionSettings},
    sales::{Sales, UnstoredSales},
    store::Store,
    telemetry::Metrics,
    transaction::{Rules, Schedule},
};

/// The settings of a gateway's components.
pub struct GatewaySettings {
    /// The limits on concurrency.
    pub limits: Limits,
    /// The longest time from a claim to its POST. The first status check comes no sooner than that
    /// and the upstream time-out.
    pub send_within: Duration,
    /// The schedule of status checks.
    pub schedule: Schedule,
    /// The rules by which evidence is judged.
    pub rules: Rules,
    /// The settings of the failover guard.
    pub guard: GuardSettings,
    /// The settings of retention.
    pub retention: RetentionSettings,
    /// The poll interval of a subscriber while notifications do not arrive.
    pub poll_interval: Duration,
    /// The poll interval of a subscriber while notifications arrive.
    pub safety_poll_interval: Duration,
    /// The instruments.
    pub metrics: Metrics,
}

/// The components of one gateway.
#[derive(Clone)]
pub struct Gateway {
    /// The store of all components.
    pub store: Arc<dyn Store>,
    /// The names of the configured accounts.
    pub accounts: Arc<AccountDirectory>,
    /// The notifications of committed changes.
    pub hub: Hub,
    /// The transactions.
    pub ledger: Arc<Ledger>,
    /// The failover guard.
    pub failover: Arc<FailoverGuard>,
    /// Purchases and payments.
    pub purchases: Arc<Purchases>,
    /// Status checks.
    pub checks: Arc<Checks>,
    /// The recorder of callbacks.
    pub callbacks: Arc<CallbackRecorder>,
    /// Queries that move no money.
    pub queries: Arc<Queries>,
    /// The retention of what is in the store.
    pub retention: Arc<Retention>,
    /// The instruments.
    pub metrics: Metrics,
    /// The tasks that a shutdown waits for.
    pub tasks: TaskTracker,
}

/// The dependencies that most components share.
struct SharedParts {
    store: Arc<dyn Store>,
    upstreams: Arc<Upstreams>,
    accounts: Arc<AccountDirectory>,
    hub: Hub,
    failover: Arc<FailoverGuard>,
    ledger: Arc<Ledger>,
    inquiries: Arc<InquiryRecords>,
    slots: Arc<CallSlots>,
    settings: GatewaySettings,
    ambient: Ambient,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl SharedParts {
    fn new(
        store: Arc<dyn Store>,
        upstreams: Upstreams,
        settings: GatewaySettings,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Self {
        let (limits, metrics) = (settings.limits, &settings.metrics);
        let upstreams = Arc::new(upstreams);
        let accounts = Arc::clone(upstreams.directory());
        let hub = Hub::new(Arc::clone(&store));
        let failover = Arc::new(FailoverGuard::new(
            Arc::clone(&store),
            settings.guard,
            hub.clone(),
            metrics.clone(),
            ambient,
        ));
        let ledger_limits = LedgerLimits {
            watchers: limits.watchers,
            watch_times: WatchTimes {
                heartbeat: limits.watch_heartbeat,
                age: limits.watch_age,
            },
            waiters: limits.waiters,
            pace: Pace {
                disconnected: settings.poll_interval,
                connected: settings.safety_poll_interval,
            },
        };
        let ledger = Arc::new(Ledger::new(
            Arc::clone(&store),
            Arc::clone(&accounts),
            hub.clone(),
            ledger_limits,
            metrics.clone(),
            ambient,
            stopping.clone(),
        ));
        let inquiries = InquiryRecords::new(Arc::clone(&store), Arc::clone(&failover), ambient);
        Self {
            store,
            upstreams,
            accounts,
            hub,
            failover,
            ledger,
            inquiries: Arc::new(inquiries),
            slots: Arc::new(CallSlots::new(limits.sending, limits.queue_timeout)),
            settings,
            ambient,
            tasks: TaskTracker::new(),
            stopping,
        }
    }

    fn sales(&self) -> Sales {
        Sales {
            store: Arc::clone(&self.store),
            ledger: Arc::clone(&self.ledger),
            failover: Arc::clone(&self.failover),
            upstreams: Arc::clone(&self.upstreams),
            unstored: UnstoredSales::default(),
            rules: self.settings.rules,
            schedule: self.settings.schedule.clone(),
            metrics: self.settings.metrics.clone(),
            ambient: self.ambient,
            tasks: self.tasks.clone(),
        }
    }

    fn purchases(&self, sales: &Arc<Sales>) -> Purchases {
        let limits = self.settings.limits;
        Purchases {
            store: Arc::clone(&self.store),
            ledger: Arc::clone(&self.ledger),
            failover: Arc::clone(&self.failover),
            accounts: Arc::clone(&self.accounts),
            upstreams: Arc::clone(&self.upstreams),
            inquiries: Arc::clone(&self.inquiries),
            sales: Arc::clone(sales),
            slots: Arc::clone(&self.slots),
            queue: Arc::new(Semaphore::new(limits.queue)),
            unfinished: Unfinished::new(limits.queue),
            claims: ClaimsInFlight::default(),
            settings: PurchaseSettings {
                queue: limits.queue,
                queue_timeout: limits.queue_timeout,
                send_within: self.settings.send_within,
                schedule: self.settings.schedule.clone(),
                rules: self.settings.rules,
            },
            metrics: self.settings.metrics.clone(),
            ambient: self.ambient,
            tasks: self.tasks.clone(),
            stopping: self.stopping.clone(),
        }
    }

    fn checks(&self) -> Checks {
        Checks {
            store: Arc::clone(&self.store),
            ledger: Arc::clone(&self.ledger),
            accounts: Arc::clone(&self.accounts),
            upstreams: Arc::clone(&self.upstreams),
            inquiries: Arc::clone(&self.inquiries),
            skipped: SkippedChecks::default(),
            schedule: self.settings.schedule.clone(),
            metrics: self.settings.metrics.clone(),
            ambient: self.ambient,
            tasks: self.tasks.clone(),
        }
    }

    fn callbacks(&self) -> CallbackRecorder {
        CallbackRecorder {
            store: Arc::clone(&self.store),
            ledger: Arc::clone(&self.ledger),
            failover: Arc::clone(&self.failover),
            upstreams: Arc::clone(&self.upstreams),
            inquiries: Arc::clone(&self.inquiries),
            orphan_queue: OrphanQueue::default(),
            schedule: self.settings.schedule.clone(),
            metrics: self.settings.metrics.clone(),
            ambient: self.ambient,
            stopping: self.stopping.clone(),
        }
    }

    fn retention(&self, sales: &Arc<Sales>) -> Retention {
        Retention {
            store: Arc::clone(&self.store),
            failover: Arc::clone(&self.failover),
            inquiries: Arc::clone(&self.inquiries),
            sales: Arc::clone(sales),
            settings: self.settings.retention,
            schedule: self.settings.schedule.clone(),
            metrics: self.settings.metrics.clone(),
            ambient: self.ambient,
            stopping: self.stopping.clone(),
        }
    }

    fn queries(&self, sales: &Arc<Sales>) -> Queries {
        Queries {
            store: Arc::clone(&self.store),
            upstreams: Arc::clone(&self.upstreams),
            sales: Arc::clone(sales),
            slots: Arc::clone(&self.slots),
            in_flight: InquiriesInFlight::default(),
            ambient: self.ambient,
            tasks: self.tasks.clone(),
        }
    }
}

impl Gateway {
    /// Builds the components over a store and the configured accounts. Starts no task.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        upstreams: Upstreams,
        settings: GatewaySettings,
        ambient: Ambient,
        stopping: CancellationToken,
    ) -> Self {
        let shared = SharedParts::new(store, upstreams, settings, ambient, stopping);
        let sales = Arc::new(shared.sales());
        Self {
            purchases: Arc::new(shared.purchases(&sales)),
            checks: Arc::new(shared.checks()),
            callbacks: Arc::new(shared.callbacks()),
            queries: Arc::new(shared.queries(&sales)),
            retention: Arc::new(shared.retention(&sales)),
            store: shared.store,
            accounts: shared.accounts,
            hub: shared.hub,
            ledger: shared.ledger,
            failover: shared.failover,
            metrics: shared.settings.metrics,
            tasks: shared.tasks,
        }
    }
}
