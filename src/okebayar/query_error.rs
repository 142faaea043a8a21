//! The reasons why a question that moves no money has no answer.

use super::{answer::Answer, answer_error::AnswerError, verdict::Refusal};
use crate::transaction::StatusCode;

/// Why a question that moves no money has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No usable answer came.
    #[error("{0}")]
    NoAnswer(AnswerError),
    /// OKEBAYAR refused.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// Its status code.
        code: StatusCode,
        /// What the caller can do.
        refusal: Refusal,
    },
    /// The answer lacks what was asked for.
    #[error("OKEBAYAR's answer has no {0}")]
    Incomplete(&'static str),
    /// The answer to an inquiry is that of a purchase or payment: it may have been one.
    #[error("OKEBAYAR answered an inquiry like a purchase")]
    SoldInstead(Box<Answer>),
    /// An echo returned something else.
    #[error("OKEBAYAR returned another message")]
    OtherMessage,
}
