//! The reasons why a request brought no usable answer.

use super::{fields::Unreadable, transport::TransportError, verdict::Ignored};

/// Why a status check brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No answer.
    #[error("{0}")]
    NoAnswer(#[from] TransportError),
    /// An HTTP status outside 2xx.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// An answer that cannot be read.
    #[error("the answer is unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    /// An answer that says nothing about the transaction.
    #[error("the answer was ignored: {0}")]
    Ignored(#[from] Ignored),
    /// An answer without any sign of the transaction, which proves nothing.
    #[error("the answer was ignored: {0}")]
    NoSign(Ignored),
}

impl AnswerError {
    /// One word for it.
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
