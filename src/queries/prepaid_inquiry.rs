//! Inquiries before prepaid purchases.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::{Instrument, debug};

use super::{
    error::{QueryFailure, interrupted},
    queries::Queries,
};
use crate::{
    accounts::Upstream,
    inquiries::marks,
    okebayar::{
        answer::Answer, answer_error::AnswerError, inquiry::InquiryResult, query_error::QueryError,
        transport::TransportError,
    },
    sales::{Sales, SentPrepaidInquiry, UnstoredSale},
    store::StoreError,
    transaction::{
        AccountName, AccountNumber, ProductCode, ReferenceCode, State, StatusCode, TransactionKey,
    },
};

impl Queries {
    /// Inquires before a prepaid purchase. Uses the caller's reference code, as OKEBAYAR's own
    /// example does, unless the caller gives none or the account is configured otherwise.
    ///
    /// # Errors
    /// [`QueryFailure`] when no inquiry results.
    pub async fn inquire_prepaid(
        self: &Arc<Self>,
        account: &AccountName,
        reference_code: Option<ReferenceCode>,
        product_code: &ProductCode,
        account_number: &AccountNumber,
    ) -> Result<InquiryResult, QueryFailure> {
        let upstream = self
            .upstreams
            .get(account)
            .ok_or(QueryFailure::NoSuchAccount)?;
        let shared = reference_code.filter(|_| !upstream.own_inquiry_reference);
        let made = SentPrepaidInquiry {
            account: account.clone(),
            reference_code: match &shared {
                Some(shared) => shared.as_str().to_owned(),
                None => self.ambient.reference_code(),
            },
            product_code: product_code.clone(),
            account_number: account_number.clone(),
        };
        let (mut sender, receiver) = oneshot::channel();
        let queries = Arc::clone(self);
        // In a task of its own: a caller that disconnects must not keep the gateway from seeing
        // that OKEBAYAR sold.
        let asking = async move {
            let admitted = tokio::select! {
                admitted = queries.admit_query(&made.account) => admitted,
                () = sender.closed() => return,
            };
            let found = match admitted {
                Ok((upstream, _slot)) => queries.ask_prepaid(upstream, &made, shared).await,
                Err(error) => Err(error),
            };
            let _ = sender.send(found);
        };
        self.tasks.spawn(asking.in_current_span());
        receiver.await.unwrap_or_else(|_| Err(interrupted()))
    }

    /// Sends the inquiry, and stores its mark, its answer and its result.
    async fn ask_prepaid(
        self: &Arc<Self>,
        upstream: &Upstream,
        made: &SentPrepaidInquiry,
        shared: Option<ReferenceCode>,
    ) -> Result<InquiryResult, QueryFailure> {
        let (product, number) = (&made.product_code, &made.account_number);
        let asker = self.inquirer(&made.account);
        let asking =
            (upstream.client).inquire_prepaid(&made.reference_code, product, number, asker);
        let Some(shared) = shared else {
            let (_, found) = asking.await;
            return self.keep_prepaid(made, found, None).await;
        };
        // Marked before it is sent: a status check of the purchase may return the inquiry.
        let key = TransactionKey::new(&shared);
        let id = self.ambient.reference_code();
        let store = &*self.store;
        // Nothing can be purchased under a retired reference code. Any other result decides nothing.
        if let Err(error @ StoreError::Retired(_)) = store.load(&key).await {
            return Err(QueryFailure::StoreUnavailable(error));
        }
        let in_flight = self.in_flight.begin(&key);
        marks::note_inquired(store, &key, &id, (self.ambient.now)())
            .await
            .map_err(QueryFailure::StoreUnavailable)?;
        let (answered, found) = asking.await;
        // Counted before the store is written, so that no purchase in between misses the sale.
        let is_sold = matches!(&found, Err(QueryError::SoldInstead(_)));
        let keeping = is_sold.then(|| begin_sale(&self.sales, made));
        let is_unsent = matches!(
            &found,
            Err(QueryError::NoAnswer(AnswerError::NoAnswer(
                TransportError::NotSent(_)
            )))
        );
        let noted = match &answered {
            _ if is_unsent => marks::forget_inquired(store, &key, &id, (self.ambient.now)()).await,
            Some((code, details)) => {
                let answered = (*code, details);
                marks::note_answered(store, &key, &id, answered, (self.ambient.now)()).await
            }
            None => Ok(()),
        };
        if let Err(error) = noted {
            // The inquiry then counts as answered with any code, which is the safe assumption.
            debug!(
                %key,
                %error,
                "answer to an inquiry not stored; it counts as answered with any code"
            );
        }
        drop(in_flight);
        let found = match found {
            Err(QueryError::Refused { code, .. })
                if code == StatusCode::DUPLICATE
                    && self.may_duplicate_sale(upstream, &key, &id).await =>
            {
                Err(QueryError::SoldInstead(Box::new(Answer {
                    status: Some(code.to_string()),
                    ..Answer::default()
                })))
            }
            found => found,
        };
        self.keep_prepaid(made, found, keeping).await
    }

    /// Returns true when the answer "duplicate" to an inquiry may mean that OKEBAYAR sold an
    /// earlier one whose answer was lost: an inquiry itself is no duplicate of anything.
    async fn may_duplicate_sale(
        &self,
        upstream: &Upstream,
        key: &TransactionKey,
        id: &str,
    ) -> bool {
        let store = &*self.store;
        // It may be a duplicate of an inquiry in flight.
        self.in_flight.wait_for_end(key, upstream.timeout).await;
        let has_purchase = match store.load(key).await {
            Ok(stored) => {
                let state = stored.map(|stored| stored.status().state);
                state.is_some_and(|state| !matches!(state, State::NotSent(_)))
            }
            Err(error) => error.tombstone().is_some(),
        };
        let made = marks::inquired(store, key).await;
        !has_purchase && made.is_ok_and(|made| made.has_unanswered_beside(id))
    }

    /// Stores the result of a prepaid inquiry, or the sale that OKEBAYAR may have made of it.
    async fn keep_prepaid(
        self: &Arc<Self>,
        made: &SentPrepaidInquiry,
        found: Result<InquiryResult, QueryError>,
        keeping: Option<UnstoredSale>,
    ) -> Result<InquiryResult, QueryFailure> {
        match found {
            Ok(found) => self.keep(found).await,
            Err(QueryError::SoldInstead(answer)) => {
                let keeping = keeping.unwrap_or_else(|| begin_sale(&self.sales, made));
                let sale = self.sales.keep_sale(made, answer, keeping).await;
                Err(QueryFailure::SoldInstead(sale))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Counts a sale in this process before it is stored.
fn begin_sale(sales: &Sales, made: &SentPrepaidInquiry) -> UnstoredSale {
    sales.begin(
        &made.product_code,
        &made.account_number,
        &made.reference_code,
    )
}
