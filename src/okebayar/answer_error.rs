//! The error of a request without a usable answer.

use super::{fields::Unreadable, transport::TransportError, verdict::Ignored};

/// The reason why a request brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The transport failed: there is no answer.
    #[error("{0}")]
    NoAnswer(#[from] TransportError),
    /// The HTTP status is outside 2xx.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// The answer cannot be parsed.
    #[error("the answer is unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    /// The answer proves nothing about the transaction.
    #[error("the answer was ignored: {0}")]
    Ignored(#[from] Ignored),
    /// The answer shows no sign of the transaction, and proves nothing.
    #[error("the answer was ignored: {0}")]
    NoSign(Ignored),
}

impl AnswerError {
    /// Returns the label of the error for metrics and spans.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoAnswer(TransportError::NotSent(_)) => "unreachable",
            Self::NoAnswer(TransportError::TooLate) => "too_late",
            Self::NoAnswer(TransportError::TimedOut) => "timed_out",
            Self::NoAnswer(TransportError::Broken(_)) => "broken",
            Self::NoAnswer(TransportError::TooLong(_)) | Self::Unreadable(_) => "unreadable",
            Self::HttpStatus(_) => "http_error",
            Self::Ignored(_) | Self::NoSign(_) => "ignored",
        }
    }
}
