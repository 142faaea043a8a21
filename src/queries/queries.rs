//! [`Queries`]: the collaborators of inquiries, balance and echo.

use std::sync::Arc;

use tokio::sync::SemaphorePermit;
use tokio_util::task::TaskTracker;

use super::{error::QueryFailure, in_flight::InquiriesInFlight};
use crate::{
    accounts::{CallSlots, Upstream, Upstreams},
    ambient::Ambient,
    inquiries::stored::{self, SaveError},
    okebayar::{inquiry::InquiryResult, operations::Inquirer},
    sales::Sales,
    store::Store,
    transaction::AccountName,
};

/// The queries of OKEBAYAR that move no money.
pub struct Queries {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) sales: Arc<Sales>,
    /// The slots for calls to OKEBAYAR, shared with purchases.
    pub(crate) slots: Arc<CallSlots>,
    /// The inquiries under callers' reference codes that are in flight.
    pub(crate) in_flight: InquiriesInFlight,
    pub(crate) ambient: Ambient,
    pub(crate) tasks: TaskTracker,
}

impl Queries {
    /// Stores an inquiry before the caller receives it, so that it can be paid.
    pub(super) async fn keep(&self, found: InquiryResult) -> Result<InquiryResult, QueryFailure> {
        stored::save(&*self.store, &found.inquiry, (self.ambient.now)())
            .await
            .map_err(|problem| match problem {
                SaveError::Store(error) => QueryFailure::NotStored(error),
                SaveError::TooMany(error) => QueryFailure::TooManyUnderCode(error),
            })?;
        Ok(found)
    }

    /// Builds the identification of an account that inquires.
    pub(super) fn inquirer<'a>(&self, account: &'a AccountName) -> Inquirer<'a> {
        Inquirer {
            account,
            now: self.ambient.now,
        }
    }

    /// Acquires a slot for a query. Queries share the slots of purchases, and wait no longer for
    /// one.
    pub(super) async fn admit_query(
        &self,
        account: &AccountName,
    ) -> Result<(&Upstream, SemaphorePermit<'_>), QueryFailure> {
        let upstream = self
            .upstreams
            .get(account)
            .ok_or(QueryFailure::NoSuchAccount)?;
        match self.slots.acquire().await {
            Some(slot) => Ok((upstream, slot)),
            None => Err(QueryFailure::Overloaded),
        }
    }
}
