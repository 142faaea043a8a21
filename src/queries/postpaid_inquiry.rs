//! Inquiries for bills.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    error::{QueryFailure, interrupted},
    queries::Queries,
};
use crate::{
    accounts::Upstream,
    okebayar::{inquiry::InquiryResult, query_error::QueryError, question::Question},
    transaction::AccountName,
};

impl Queries {
    /// Inquires for a bill, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryFailure`] when no inquiry results.
    pub async fn inquire_postpaid(
        self: &Arc<Self>,
        account: &AccountName,
        question: &Question,
    ) -> Result<InquiryResult, QueryFailure> {
        let (account, question) = (account.clone(), question.clone());
        let (mut sender, receiver) = oneshot::channel();
        let queries = Arc::clone(self);
        // In a task of its own, for the same reason as a prepaid inquiry.
        let asking = async move {
            let admitted = tokio::select! {
                admitted = queries.admit_query(&account) => admitted,
                () = sender.closed() => return,
            };
            let found = match admitted {
                Ok((upstream, _slot)) => queries.ask_postpaid(upstream, &account, &question).await,
                Err(error) => Err(error),
            };
            let _ = sender.send(found);
        };
        self.tasks.spawn(asking.in_current_span());
        receiver.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Sends the inquiry, and stores its result.
    async fn ask_postpaid(
        self: &Arc<Self>,
        upstream: &Upstream,
        account: &AccountName,
        question: &Question,
    ) -> Result<InquiryResult, QueryFailure> {
        let own = self.ambient.reference_code();
        // The answer may lack payments made after this moment, however late it arrives.
        let asked_at = (self.ambient.now)();
        let (_, found) = upstream
            .client
            .inquire_postpaid(&own, question, self.inquirer(account))
            .await;
        let mut found = match found {
            Err(QueryError::SoldInstead(answer)) => {
                let sale = self.sales.keep_payment(account, &own, &answer).await;
                return Err(QueryFailure::SoldInstead(sale));
            }
            found => found?,
        };
        if let Some(inquired) = &mut found.inquiry.order.inquired {
            inquired.at = inquired.at.map(|answered| answered.min(asked_at));
        }
        self.keep(found).await
    }
}
