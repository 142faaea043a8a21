//! [`InquiryRecords`]: the collaborators of the records of inquiries.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{ambient::Ambient, failover::FailoverGuard, store::Store};

/// The records of inquiries in one store.
pub struct InquiryRecords {
    pub(super) store: Arc<dyn Store>,
    pub(super) failover: Arc<FailoverGuard>,
    ambient: Ambient,
}

impl InquiryRecords {
    /// Builds the records of inquiries of a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, failover: Arc<FailoverGuard>, ambient: Ambient) -> Self {
        Self {
            store,
            failover,
            ambient,
        }
    }

    /// Returns the time of the process's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.ambient.now)()
    }

    /// Returns a random id.
    pub(super) fn id(&self) -> Uuid {
        (self.ambient.random)()
    }
}
