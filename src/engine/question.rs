//! Questions to OKEBAYAR that move no money: the deposit, an echo, and inquiries.

use tokio::sync::SemaphorePermit;
use tracing::debug;

use super::{Engine, Upstream};
use crate::{
    okebayar::{
        client::{Asker, NothingLearnt, QueryError},
        inquiry::{Found, Question},
        transport::TransportError,
        verdict::Refusal,
    },
    store::{StoreError, inquiries},
    transaction::{
        AccountName, AccountNumber, Amount, Details, ProductCode, ReferenceCode, StatusCode,
        TransactionKey,
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
            QueryError::NoAnswer(NothingLearnt::NoAnswer(TransportError::NotSent(problem))) => {
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
        &self,
        account: &AccountName,
        reference_code: Option<ReferenceCode>,
        product_code: &ProductCode,
        account_number: &AccountNumber,
    ) -> Result<Found, QuestionError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        let asker = self.asker(account);
        let client = &upstream.client;
        let shared = reference_code.filter(|_| !upstream.own_inquiry_reference);
        let Some(shared) = shared else {
            let own = self.own_reference();
            let (_, found) = client
                .inquire_prepaid(&own, product_code, account_number, asker)
                .await;
            return self.keep(found?).await;
        };
        // Noted before it is sent: a check of the purchase may find the inquiry.
        let key = TransactionKey::new(&shared);
        let id = self.own_reference();
        let store = &*self.store;
        inquiries::note_inquired(store, &key, &id, self.now())
            .await
            .map_err(QuestionError::Store)?;
        let (answered, found) = client
            .inquire_prepaid(shared.as_str(), product_code, account_number, asker)
            .await;
        let found = found.map_err(QuestionError::from);
        let noted = match &answered {
            _ if matches!(found, Err(QuestionError::Unreachable(_))) => {
                inquiries::forget_inquired(store, &key, &id, self.now()).await
            }
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
        self.keep(found?).await
    }

    /// Inquires for a bill, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QuestionError`] when nothing was found.
    pub async fn inquire_postpaid(
        &self,
        account: &AccountName,
        question: &Question,
    ) -> Result<Found, QuestionError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        let own = self.own_reference();
        let (_, found) = upstream
            .client
            .inquire_postpaid(&own, question, self.asker(account))
            .await;
        self.keep(found?).await
    }

    /// Keeps an inquiry before the caller is told of it, so that it can be paid.
    async fn keep(&self, found: Found) -> Result<Found, QuestionError> {
        inquiries::save(&*self.store, &found.inquiry, self.now())
            .await
            .map_err(QuestionError::NotKept)?;
        Ok(found)
    }

    fn asker<'a>(&self, account: &'a AccountName) -> Asker<'a> {
        Asker {
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
    fn own_reference(&self) -> String {
        (self.ambient.random)().to_string()
    }
}
