//! The failures of queries.

use crate::{
    okebayar::{
        answer_error::AnswerError, query_error::QueryError, transport::TransportError,
        verdict::Refusal,
    },
    sales::Sale,
    store::StoreError,
    transaction::{StatusCode, TooManyUnderCode},
};

/// The reason why a query failed, in terms that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum QueryFailure {
    /// The account is not configured.
    #[error("account not configured")]
    NoSuchAccount,
    /// Too many calls wait for a slot.
    #[error("too many calls to OKEBAYAR wait for a slot; retry later")]
    Overloaded,
    /// The connection failed, so nothing was sent.
    #[error("OKEBAYAR unreachable: {0}")]
    Unreachable(String),
    /// OKEBAYAR gave no usable answer.
    #[error("no usable answer from OKEBAYAR: {0}")]
    NoAnswer(String),
    /// The store does not answer, so nothing was sent.
    #[error(transparent)]
    StoreUnavailable(StoreError),
    /// OKEBAYAR answered, but the inquiry could not be stored, so it cannot be paid.
    #[error("inquiry not stored: {0}")]
    NotStored(StoreError),
    /// OKEBAYAR answered the inquiry like a purchase, so money may be spent.
    #[error("{0}")]
    SoldInstead(Sale),
    /// OKEBAYAR issued the same inquiry code too often.
    #[error("inquiry not stored: {0}; inquire again later")]
    TooManyUnderCode(TooManyUnderCode),
    /// OKEBAYAR refused the query.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// The status code of the answer.
        code: StatusCode,
        /// The refusal, which determines how the caller can react.
        refusal: Refusal,
    },
}

impl From<QueryError> for QueryFailure {
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

/// Builds the error of an inquiry whose task ended without a result.
pub(super) fn interrupted() -> QueryFailure {
    QueryFailure::NoAnswer("inquiry interrupted".to_owned())
}
