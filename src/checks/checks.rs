//! The status checks of one process.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::skipped::SkippedChecks;
use crate::{
    accounts::{AccountDirectory, Upstreams},
    ambient::Ambient,
    inquiries::InquiryRecords,
    ledger::Ledger,
    store::Store,
    telemetry::Metrics,
    transaction::Schedule,
};

/// Checks the status of transactions at OKEBAYAR, and resolves them by an operator's ruling.
pub struct Checks {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) accounts: Arc<AccountDirectory>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) inquiries: Arc<InquiryRecords>,
    /// Due transactions that are left to other gateways.
    pub(crate) skipped: SkippedChecks,
    pub(crate) schedule: Schedule,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) tasks: TaskTracker,
}
