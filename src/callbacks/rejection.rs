//! The reasons for rejecting a callback.

use axum::http::StatusCode;

/// The reason why a callback is rejected.
#[derive(Debug)]
pub(super) enum Rejection {
    /// Wrong sender, account or secret. The response is the same for each.
    NotFound,
    /// The rate limit is exceeded.
    TooMany,
    /// The body is too long.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The request is not a callback; holds the text of the response.
    Malformed(&'static str),
    /// The store failed; OKEBAYAR may retry.
    NotStored,
}

impl Rejection {
    /// Returns the value of the metric's label.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Malformed(_) => "malformed",
            Self::NotStored => "not_stored",
        }
    }

    /// Maps the rejection to an HTTP response. It gives nothing away to an unauthenticated client.
    pub(super) fn response(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not found\n"),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many callbacks; retry later\n",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body too long\n"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body not received in time\n"),
            Self::Malformed(problem) => (StatusCode::BAD_REQUEST, problem),
            Self::NotStored => (
                StatusCode::SERVICE_UNAVAILABLE,
                "callback not stored; retry later\n",
            ),
        }
    }
}
