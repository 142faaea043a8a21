//! [`CallbackRecorder`]: the collaborators of `record` and `orphan_checks`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::orphan_queue::OrphanQueue;
use crate::{
    accounts::Upstreams, ambient::Ambient, failover::FailoverGuard, inquiries::InquiryRecords,
    ledger::Ledger, store::Store, telemetry::Metrics, transaction::Schedule,
};

/// The recorder of callbacks: stores each with its transaction, or as an orphan.
pub struct CallbackRecorder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) failover: Arc<FailoverGuard>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) inquiries: Arc<InquiryRecords>,
    /// The unknown reference codes that await a status check.
    pub(crate) orphan_queue: OrphanQueue,
    pub(crate) schedule: Schedule,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) stopping: CancellationToken,
}
