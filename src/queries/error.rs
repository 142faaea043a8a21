//! The reasons for which a query has no answer.

use crate::{
    okebayar::{
        client::{NothingLearnt, QueryError},
        transport::TransportError,
        verdict::Refusal,
    },
    sales::Sale,
    store::StoreError,
    transaction::{StatusCode, TooManyUnderCode},
};

/// Why a question has no answer, in terms that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum QueryFailure {
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
    StoreUnavailable(StoreError),
    /// OKEBAYAR answered, and that could not be stored, so it could not be paid either.
    #[error("the inquiry could not be kept: {0}")]
    NotStored(StoreError),
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

impl From<QueryError> for QueryFailure {
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

/// Builds the error of an inquiry whose task ended without an answer.
pub(super) fn interrupted() -> QueryFailure {
    QueryFailure::NoAnswer("the inquiry was interrupted".to_owned())
}
