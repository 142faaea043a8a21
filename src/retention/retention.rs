//! [`Retention`]: the collaborators of a pass.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::settings::RetentionSettings;
use crate::{
    ambient::Ambient, failover::FailoverGuard, inquiries::InquiryRecords, sales::Sales,
    store::Store, telemetry::Metrics, transaction::Schedule,
};

/// The retention of one process.
pub struct Retention {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) failover: Arc<FailoverGuard>,
    pub(crate) inquiries: Arc<InquiryRecords>,
    pub(crate) sales: Arc<Sales>,
    pub(crate) settings: RetentionSettings,
    pub(crate) schedule: Schedule,
    pub(crate) metrics: Metrics,
    pub(crate) ambient: Ambient,
    pub(crate) stopping: CancellationToken,
}
