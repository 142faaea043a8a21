//! [`Purchases`]: the collaborators of purchases and payments.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{claims_in_flight::ClaimsInFlight, unfinished::Unfinished};
use crate::{
    accounts::{AccountDirectory, CallSlots, Upstreams},
    ambient::Ambient,
    failover::FailoverGuard,
    inquiries::InquiryRecords,
    ledger::Ledger,
    sales::Sales,
    store::Store,
    telemetry::Metrics,
    transaction::{Rules, Schedule},
};

/// The settings of purchases.
#[derive(Clone, Debug)]
pub struct PurchaseSettings {
    /// The most purchases that wait to be sent or are being sent.
    pub queue: usize,
    /// The longest time that a purchase waits to be sent.
    pub queue_timeout: Duration,
    /// The longest time from a claim to its POST. The first status check comes no sooner than that
    /// and the upstream time-out.
    pub send_within: Duration,
    /// The schedule of status checks.
    pub schedule: Schedule,
    /// The rules by which evidence is judged.
    pub rules: Rules,
}

/// The purchases and payments of one process: each reference code is sent at most once.
pub struct Purchases {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) failover: Arc<FailoverGuard>,
    pub(crate) accounts: Arc<AccountDirectory>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) inquiries: Arc<InquiryRecords>,
    pub(crate) sales: Arc<Sales>,
    /// The bound on concurrent calls to OKEBAYAR.
    pub(crate) slots: Arc<CallSlots>,
    /// One permit for each purchase that waits to be sent or is being sent.
    pub(crate) queue: Arc<Semaphore>,
    pub(crate) unfinished: Unfinished,
    pub(crate) claims: ClaimsInFlight,
    pub(crate) settings: PurchaseSettings,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

impl Purchases {
    /// Records the number of queued purchases and of calls in flight as gauges.
    pub fn record_occupancy(&self) {
        let queued = self.settings.queue - self.queue.available_permits();
        self.metrics.queue(queued, self.slots.in_use());
    }
}
