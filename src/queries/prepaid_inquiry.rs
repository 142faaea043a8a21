//! Inquiries before prepaid purchases.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::{Instrument, debug};

use super::{
    error::{QuestionError, interrupted},
    queries::Queries,
};
use crate::{
    accounts::Upstream,
    inquiries::marks,
    okebayar::{
        answer::Answer,
        client::{NothingLearnt, QueryError},
        inquiry::Found,
        transport::TransportError,
    },
    sales::{Sales, SentPrepaidInquiry, UnstoredSale},
    transaction::{
        AccountName, AccountNumber, ProductCode, ReferenceCode, State, StatusCode, TransactionKey,
    },
};

impl Queries {
    /// Inquires before a prepaid purchase. It goes under the caller's reference code, as
    /// OKEBAYAR's own example does, unless there is none or the account says otherwise.
    ///
    /// # Errors
    /// [`QuestionError`] when nothing was found.
    pub async fn inquire_prepaid(
        self: &Arc<Self>,
        account: &AccountName,
        reference_code: Option<ReferenceCode>,
        product_code: &ProductCode,
        account_number: &AccountNumber,
    ) -> Result<Found, QuestionError> {
        let upstream = self
            .upstreams
            .get(account)
            .ok_or(QuestionError::NoSuchAccount)?;
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
        let (mut tell, told) = oneshot::channel();
        let queries = Arc::clone(self);
        // In a task of its own: a caller that goes away must not keep the gateway from
        // seeing that OKEBAYAR sold.
        let asking = async move {
            let admitted = tokio::select! {
                admitted = queries.admit_query(&made.account) => admitted,
                () = tell.closed() => return,
            };
            let found = match admitted {
                Ok((upstream, _slot)) => queries.ask_prepaid(upstream, &made, shared).await,
                Err(error) => Err(error),
            };
            let _ = tell.send(found);
        };
        self.tasks.spawn(asking.in_current_span());
        told.await.unwrap_or_else(|_| Err(interrupted()))
    }

    async fn ask_prepaid(
        self: &Arc<Self>,
        upstream: &Upstream,
        made: &SentPrepaidInquiry,
        shared: Option<ReferenceCode>,
    ) -> Result<Found, QuestionError> {
        let (product, number) = (&made.product_code, &made.account_number);
        let asker = self.asker(&made.account);
        let asking =
            (upstream.client).inquire_prepaid(&made.reference_code, product, number, asker);
        let Some(shared) = shared else {
            let (_, found) = asking.await;
            return self.keep_prepaid(made, found, None).await;
        };
        // Noted before it is sent: a check of the purchase may find the inquiry.
        let key = TransactionKey::new(&shared);
        let id = self.ambient.reference_code();
        let store = &*self.store;
        let in_flight = self.in_flight.begin(&key);
        marks::note_inquired(store, &key, &id, (self.ambient.now)())
            .await
            .map_err(QuestionError::Store)?;
        let (answered, found) = asking.await;
        // From here on, before the store is written.
        let is_sold = matches!(&found, Err(QueryError::SoldInstead(_)));
        let keeping = is_sold.then(|| begin_sale(&self.sales, made));
        let is_unsent = matches!(
            &found,
            Err(QueryError::NoAnswer(NothingLearnt::NoAnswer(
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
            // It then counts as answered with any code, which is the careful reading.
            debug!(%key, %error, "the answer to an inquiry could not be noted");
        }
        drop(in_flight);
        let found = match found {
            Err(QueryError::Refused { code, .. })
                if code == StatusCode::DUPLICATE
                    && self.may_repeat_sale(upstream, &key, &id).await =>
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

    /// Returns true when "duplicate" as the answer to an inquiry may mean that an earlier
    /// one, whose answer was lost, was sold: an inquiry itself is no duplicate of anything.
    async fn may_repeat_sale(&self, upstream: &Upstream, key: &TransactionKey, id: &str) -> bool {
        let store = &*self.store;
        // It may be a duplicate of one that is still being answered.
        self.in_flight.wait_for_end(key, upstream.timeout).await;
        let has_purchase = store.load(key).await.is_ok_and(|stored| {
            let state = stored.map(|stored| stored.standing().state);
            state.is_some_and(|state| !matches!(state, State::NotSent(_)))
        });
        let made = marks::inquired(store, key).await;
        !has_purchase && made.is_ok_and(|made| made.has_unanswered_beside(id))
    }

    /// Keeps what a prepaid inquiry found, or may have bought.
    async fn keep_prepaid(
        self: &Arc<Self>,
        made: &SentPrepaidInquiry,
        found: Result<Found, QueryError>,
        keeping: Option<UnstoredSale>,
    ) -> Result<Found, QuestionError> {
        match found {
            Ok(found) => self.keep(found).await,
            Err(QueryError::SoldInstead(answer)) => {
                let keeping = keeping.unwrap_or_else(|| begin_sale(&self.sales, made));
                let sale = self.sales.keep_sale(made, answer, keeping).await;
                Err(QuestionError::SoldInstead(sale))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Counts a sale in this process, before the store is written.
fn begin_sale(sales: &Sales, made: &SentPrepaidInquiry) -> UnstoredSale {
    sales.begin(
        &made.product_code,
        &made.account_number,
        &made.reference_code,
    )
}
