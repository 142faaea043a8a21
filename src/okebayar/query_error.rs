//! The error of an inquiry, a balance or an echo.

use super::{answer::Answer, answer_error::AnswerError, verdict::Refusal};
use crate::transaction::StatusCode;

/// The reason why an operation that moves no money has no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no usable answer.
    #[error("{0}")]
    NoAnswer(AnswerError),
    /// OKEBAYAR refused the request.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// The status code of the answer.
        code: StatusCode,
        /// The kind of refusal, by what the caller can do.
        refusal: Refusal,
    },
    /// The answer lacks a required field.
    #[error("OKEBAYAR's answer has no {0}")]
    Incomplete(&'static str),
    /// The answer to an inquiry is that of a purchase or payment: OKEBAYAR may have made one.
    #[error("OKEBAYAR answered an inquiry like a purchase")]
    SoldInstead(Box<Answer>),
    /// An echo returned another message.
    #[error("OKEBAYAR returned another message")]
    OtherMessage,
}
