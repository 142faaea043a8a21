//! [`Sales`]: the collaborators of possible sales.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::unstored::UnstoredSales;
use crate::{
    accounts::Upstreams,
    ambient::Ambient,
    failover::FailoverGuard,
    ledger::Ledger,
    store::Store,
    telemetry::Metrics,
    transaction::{Rules, Schedule},
};

/// The possible sales: inquiries that OKEBAYAR answered like purchases.
pub struct Sales {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) failover: Arc<FailoverGuard>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) unstored: UnstoredSales,
    pub(crate) rules: Rules,
    pub(crate) schedule: Schedule,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) tasks: TaskTracker,
}
