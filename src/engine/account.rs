//! Questions about an account: they move no money and leave no record.

use tokio::sync::SemaphorePermit;

use super::{Engine, Upstream};
use crate::{
    okebayar::{
        client::{NothingLearnt, QueryError},
        transport::TransportError,
        verdict::Refusal,
    },
    transaction::{AccountName, Amount, Details, StatusCode},
};

/// Why a question has no answer, in terms that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
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
    /// OKEBAYAR refused.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// Its status code.
        code: StatusCode,
        /// What the caller can do.
        refusal: Refusal,
    },
}

impl From<QueryError> for AccountError {
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
    /// [`AccountError`] when OKEBAYAR does not tell.
    pub async fn balance(&self, account: &AccountName) -> Result<(Amount, Details), AccountError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream.client.balance(&self.own_reference()).await?)
    }

    /// Has OKEBAYAR return a message.
    ///
    /// # Errors
    /// [`AccountError`] when the message does not come back as it was.
    pub async fn echo(&self, account: &AccountName, message: &str) -> Result<(), AccountError> {
        let (upstream, _slot) = self.admit_query(account).await?;
        Ok(upstream.client.echo(&self.own_reference(), message).await?)
    }

    /// Questions share the slots of purchases, and wait no longer for one.
    async fn admit_query(
        &self,
        account: &AccountName,
    ) -> Result<(&Upstream, SemaphorePermit<'_>), AccountError> {
        let upstream = self
            .upstreams
            .get(account)
            .ok_or(AccountError::NoSuchAccount)?;
        let slot = tokio::time::timeout(self.settings.limits.queue_timeout, self.sending.acquire());
        match slot.await {
            Ok(Ok(slot)) => Ok((upstream, slot)),
            _ => Err(AccountError::Overloaded),
        }
    }

    /// A reference code of the gateway's own making.
    fn own_reference(&self) -> String {
        (self.ambient.random)().to_string()
    }
}
