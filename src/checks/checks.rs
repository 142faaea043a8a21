//! [`Checks`]: the collaborators of status checks.

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

/// The status checks at OKEBAYAR, and resolutions by an operator.
pub struct Checks {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) accounts: Arc<AccountDirectory>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) inquiries: Arc<InquiryRecords>,
    /// The due checks that this process leaves to other gateways.
    pub(crate) skipped: SkippedChecks,
    pub(crate) schedule: Schedule,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) tasks: TaskTracker,
}
