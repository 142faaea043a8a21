//! Questions to OKEBAYAR that move no money: the deposit, an echo, and inquiries.

use std::sync::Arc;

use tokio::sync::{SemaphorePermit, oneshot};
use tracing::{Instrument, debug};

use super::{
    Engine, Upstream,
    sale::{Made, Sale},
    sale_guard::{self, Keeping},
};
use crate::{
    okebayar::{
        answer::Answer, answer_error::AnswerError, inquiry::InquiryResult, operations::Inquirer,
        query_error::QueryError, question::Question, transport::TransportError, verdict::Refusal,
    },
    store::{
        StoreError,
        inquiries::{self, NotKept},
    },
    transaction::{
        AccountName, AccountNumber, Amount, Details, ProductCode, ReferenceCode, State, StatusCode,
        TooManyUnderCode, TransactionKey,
    },
};

/// Why a question has no answer, in terms that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The account is not configured.
    #[error("there is no such account")]
    NoSuchAccount,
    /// Too many calls to OKEBAYAR at once.
    #[error("too many calls to OKEBAYAR are waiting")]
    Overloaded,
    /// No connection could be made: nothing was sent.
    #[error("OKEBAYAR cannot be reached: {0}")]
    Unreachable(String),
    /// No usable answer.
    #[error("OKEBAYAR gave no usable answer: {0}")]
    NoAnswer(String),
    /// The store does not answer. Nothing was sent.
    #[error(transparent)]
    Store(StoreError),
    /// OKEBAYAR answered, and that could not be stored, so it could not be paid either.
    #[error("the inquiry could not be kept: {0}")]
    NotKept(StoreError),
    /// OKEBAYAR answered an inquiry like a purchase: money may be spent.
    #[error("{0}")]
    SoldInstead(Sale),
    /// OKEBAYAR answered with an inquiry code that it gave out too often.
    #[error("the inquiry could not be kept: {0}; inquire again later")]
    TooManyUnderCode(TooManyUnderCode),
    /// OKEBAYAR refused.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// Its status code.
        code: StatusCode,
        /// What the caller can do.
        refusal: Refusal,
    },
}

impl From<QueryError> for QuestionError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused { code, refusal } => Self::Refused { code, refusal },
            QueryError::NoAnswer(AnswerError::NoAnswer(TransportError::NotSent(problem))) => {
                Self::Unreachable(problem)
            }
            other => Self::NoAnswer(other.to_string()),
        }
    }
}

impl Engine {
    /// The deposit of an account, and what came along with it.
    ///
    /// # Errors
    /// [`QuestionError`] when OKEBAYAR does not tell.
    pub async fn balance(&self, account: &AccountName) -> Result<(Amount, Details), QuestionError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream.client.balance(&self.own_reference()).await?)
    }

    /// Has OKEBAYAR return a message.
    ///
    /// # Errors
    /// [`QuestionError`] when the message does not come back as it was.
    pub async fn echo(&self, account: &AccountName, message: &str) -> Result<(), QuestionError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream.client.echo(&self.own_reference(), message).await?)
    }

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
    ) -> Result<InquiryResult, QuestionError> {
        let upstream = self.upstream(account).ok_or(QuestionError::NoSuchAccount)?;
        let shared = reference_code.filter(|_| !upstream.own_inquiry_reference);
        let made = Made {
            account: account.clone(),
            reference_code: match &shared {
                Some(shared) => shared.as_str().to_owned(),
                None => self.own_reference(),
            },
            product_code: product_code.clone(),
            account_number: account_number.clone(),
        };
        let (mut tell, told) = oneshot::channel();
        let engine = Arc::clone(self);
        // In a task of its own: a caller that goes away must not keep the gateway from
        // seeing that OKEBAYAR sold.
        let asking = async move {
            let admitted = tokio::select! {
                admitted = engine.admit_query(&made.account) => admitted,
                () = tell.closed() => return,
            };
            let found = match admitted {
                Ok((upstream, _slot)) => engine.ask_prepaid(upstream, &made, shared).await,
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
        made: &Made,
        shared: Option<ReferenceCode>,
    ) -> Result<InquiryResult, QuestionError> {
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
        let id = self.own_reference();
        let store = &*self.store;
        let in_flight = self.inquiring.begin(&key);
        inquiries::note_inquired(store, &key, &id, self.now())
            .await
            .map_err(QuestionError::Store)?;
        let (answered, found) = asking.await;
        // From here on, before the store is written.
        let is_sold = matches!(&found, Err(QueryError::SoldInstead(_)));
        let keeping = is_sold.then(|| self.begin_sale(made));
        let is_unsent = matches!(
            &found,
            Err(QueryError::NoAnswer(AnswerError::NoAnswer(
                TransportError::NotSent(_)
            )))
        );
        let noted = match &answered {
            _ if is_unsent => inquiries::forget_inquired(store, &key, &id, self.now()).await,
            Some((code, details)) => {
                let answered = (*code, details);
                inquiries::note_answered(store, &key, &id, answered, self.now()).await
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
        self.inquiring.wait_for_end(key, upstream.timeout).await;
        let has_purchase = store.load(key).await.is_ok_and(|stored| {
            let state = stored.map(|stored| stored.standing().state);
            state.is_some_and(|state| !matches!(state, State::NotSent(_)))
        });
        let made = inquiries::inquired(store, key).await;
        !has_purchase && made.is_ok_and(|made| made.has_unanswered_beside(id))
    }

    /// Keeps what a prepaid inquiry found, or may have bought.
    async fn keep_prepaid(
        self: &Arc<Self>,
        made: &Made,
        found: Result<InquiryResult, QueryError>,
        keeping: Option<Keeping>,
    ) -> Result<InquiryResult, QuestionError> {
        match found {
            Ok(found) => self.keep(found).await,
            Err(QueryError::SoldInstead(answer)) => {
                let keeping = keeping.unwrap_or_else(|| self.begin_sale(made));
                let sale = self.keep_sale(made, answer, keeping).await;
                Err(QuestionError::SoldInstead(sale))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn begin_sale(&self, made: &Made) -> Keeping {
        let sold = sale_guard::sold(&made.product_code, &made.account_number);
        self.sales.begin(sold, &made.reference_code)
    }

    /// Inquires for a bill, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QuestionError`] when nothing was found.
    pub async fn inquire_postpaid(
        self: &Arc<Self>,
        account: &AccountName,
        question: &Question,
    ) -> Result<InquiryResult, QuestionError> {
        let (account, question) = (account.clone(), question.clone());
        let (mut tell, told) = oneshot::channel();
        let engine = Arc::clone(self);
        // In a task of its own, as before a prepaid purchase.
        let asking = async move {
            let admitted = tokio::select! {
                admitted = engine.admit_query(&account) => admitted,
                () = tell.closed() => return,
            };
            let found = match admitted {
                Ok((upstream, _slot)) => engine.ask_postpaid(upstream, &account, &question).await,
                Err(error) => Err(error),
            };
            let _ = tell.send(found);
        };
        self.tasks.spawn(asking.in_current_span());
        told.await.unwrap_or_else(|_| Err(interrupted()))
    }

    async fn ask_postpaid(
        self: &Arc<Self>,
        upstream: &Upstream,
        account: &AccountName,
        question: &Question,
    ) -> Result<InquiryResult, QuestionError> {
        let own = self.own_reference();
        // What was paid after this moment may not be in the answer, however late that comes.
        let asked_at = self.now();
        let (_, found) = upstream
            .client
            .inquire_postpaid(&own, question, self.asker(account))
            .await;
        let mut found = match found {
            Err(QueryError::SoldInstead(answer)) => {
                let sale = self.keep_payment(account, &own, &answer).await;
                return Err(QuestionError::SoldInstead(sale));
            }
            found => found?,
        };
        if let Some(inquired) = &mut found.inquiry.order.inquired {
            inquired.at = inquired.at.map(|answered| answered.min(asked_at));
        }
        self.keep(found).await
    }

    /// Keeps an inquiry before the caller is told of it, so that it can be paid.
    async fn keep(&self, found: InquiryResult) -> Result<InquiryResult, QuestionError> {
        inquiries::save(&*self.store, &found.inquiry, self.now())
            .await
            .map_err(|problem| match problem {
                NotKept::Store(error) => QuestionError::NotKept(error),
                NotKept::TooMany(error) => QuestionError::TooManyUnderCode(error),
            })?;
        Ok(found)
    }

    fn asker<'a>(&self, account: &'a AccountName) -> Inquirer<'a> {
        Inquirer {
            account,
            now: self.ambient.now,
        }
    }

    /// Questions share the slots of purchases, and wait no longer for one.
    async fn admit_query(
        &self,
        account: &AccountName,
    ) -> Result<(&Upstream, SemaphorePermit<'_>), QuestionError> {
        let upstream = self.upstream(account).ok_or(QuestionError::NoSuchAccount)?;
        let slot = tokio::time::timeout(self.settings.limits.queue_timeout, self.sending.acquire());
        match slot.await {
            Ok(Ok(slot)) => Ok((upstream, slot)),
            _ => Err(QuestionError::Overloaded),
        }
    }

    /// A reference code of the gateway's own making.
    pub(super) fn own_reference(&self) -> String {
        (self.ambient.random)().to_string()
    }
}

fn interrupted() -> QuestionError {
    QuestionError::NoAnswer("the inquiry was interrupted".to_owned())
}
