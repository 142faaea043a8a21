//! The only builder of a `tonic::Status`.
//!
//! Every status carries one `ErrorInfo`. Its metadata key `sent` is about the reference code,
//! not about the call. It is `no` only if the request is about no reference code, or if the
//! store was read and shows that nothing was sent under it (promise 3). The texts of the
//! store's client go to the log only, because they may quote a URL.
//!
//! Debug builds, and so all tests, assert that each status is what docs/ERRORS.md publishes of its
//! reason.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{contract::v1::ErrorReason, error_reason, next_step_message};
use crate::{ambient::phase_of, purchase::Sent, transaction::NextStep};

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "gateway.okebayar";

/// The least retry delay in `RetryInfo` and in the pushback.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The range over which the delays of a pushback are spread.
const RETRY_SPREAD: Duration = Duration::from_secs(2);

/// Returns the phase of the next pushback.
fn next_phase() -> f64 {
    static ERRORS: AtomicU32 = AtomicU32::new(0);
    phase_of(ERRORS.fetch_add(1, Ordering::Relaxed))
}

/// The trailer by which a server directs the retry policy of a gRPC client (gRFC A6): a delay in
/// milliseconds, or a negative number that forbids the retry.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A status under construction, always with an `ErrorInfo` that holds its reason and `sent`.
pub(super) struct StatusBuilder {
    code: Code,
    reason: ErrorReason,
    message: String,
    details: ErrorDetails,
    metadata: HashMap<String, String>,
    pushback: Option<MetadataValue<Ascii>>,
}

impl StatusBuilder {
    /// Starts a status.
    pub(super) fn new(
        code: Code,
        reason: ErrorReason,
        sent: Sent,
        message: impl Into<String>,
    ) -> Self {
        let codes = error_reason::codes(reason);
        debug_assert!(codes.contains(&code), "{reason:?} is not {code:?}");
        let text = match sent {
            Sent::No => "no",
            Sent::Maybe => "maybe",
        };
        let mut metadata = HashMap::from([("sent".to_owned(), text.to_owned())]);
        if let Some(step) = error_reason::next_step(reason, sent) {
            let step = next_step_message::name(step).to_owned();
            metadata.insert("next_step".to_owned(), step);
        }
        Self {
            code,
            reason,
            message: message.into(),
            details: ErrorDetails::new(),
            metadata,
            pushback: None,
        }
    }

    /// Adds one entry to the metadata of the `ErrorInfo`.
    pub(super) fn metadata(mut self, name: &str, value: impl Into<String>) -> Self {
        let published = error_reason::metadata(self.reason);
        debug_assert!(published.contains(&name), "{:?} has no {name}", self.reason);
        self.metadata.insert(name.to_owned(), value.into());
        self
    }

    /// Replaces the next step that follows from the reason.
    pub(super) fn next_step(mut self, step: NextStep) -> Self {
        let published = error_reason::other_next_step(self.reason);
        debug_assert_eq!(published, Some(step), "{:?}", self.reason);
        let step = next_step_message::name(step).to_owned();
        self.metadata.insert("next_step".to_owned(), step);
        self
    }

    /// Adds a `BadRequest` with these violations.
    pub(super) fn bad_request(mut self, violations: Vec<FieldViolation>) -> Self {
        self.details.set_bad_request(violations);
        self
    }

    /// Adds a `RetryInfo`. The backoff of a gRPC client with a retry policy stays as configured.
    pub(super) fn retryable(mut self) -> Self {
        self.details.set_retry_info(Some(RETRY_AFTER));
        self
    }

    /// Adds a `RetryInfo`, and a pushback of the same delay: a gRPC client with a retry policy waits
    /// for it instead of its own backoff. The delays of successive errors are spread, so that the
    /// calls that one overload refused do not return together.
    pub(super) fn retryable_after_pushback(mut self) -> Self {
        let delay = RETRY_AFTER + RETRY_SPREAD.mul_f64(next_phase());
        self.details.set_retry_info(Some(delay));
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.pushback = Some(delay_ms.into());
        self
    }

    /// Forbids the retry policy of a gRPC client to repeat the call, although its code is one that
    /// policies repeat.
    pub(super) fn not_retryable(mut self) -> Self {
        self.pushback = Some(MetadataValue::from_static("-1"));
        self
    }

    /// Builds the status.
    pub(super) fn build(mut self) -> Status {
        let has_delay = self.details.retry_info().is_some();
        let published = error_reason::has_retry_info(self.reason);
        debug_assert_eq!(has_delay, published, "{:?}", self.reason);
        self.details
            .set_error_info(error_reason::name(self.reason), ERROR_DOMAIN, self.metadata);
        let mut trailers = MetadataMap::new();
        if let Some(pushback) = self.pushback {
            trailers.insert(PUSHBACK, pushback);
        }
        Status::with_error_details_and_metadata(self.code, self.message, self.details, trailers)
    }
}

/// Builds a status without further details.
pub(super) fn status(
    code: Code,
    reason: ErrorReason,
    sent: Sent,
    message: impl Into<String>,
) -> Status {
    StatusBuilder::new(code, reason, sent, message).build()
}

/// Builds `RESOURCE_EXHAUSTED` with a `RetryInfo`; `limit` names the limit that is reached.
fn resource_exhausted(
    reason: ErrorReason,
    limit: &str,
    sent: Sent,
    message: impl Into<String>,
) -> Status {
    StatusBuilder::new(Code::ResourceExhausted, reason, sent, message)
        .metadata("limit", limit)
        .retryable_after_pushback()
        .build()
}

/// Builds `RESOURCE_EXHAUSTED` for a purchase or query that finds its queue full.
pub(super) fn overloaded(limit: &str, sent: Sent, message: String) -> Status {
    resource_exhausted(ErrorReason::Overloaded, limit, sent, message)
}

/// Builds `RESOURCE_EXHAUSTED` for a call beyond the limit of watchers or waiters. The store
/// was not read.
pub(super) fn too_many(reason: ErrorReason, limit: &str, sent: Sent, message: &str) -> Status {
    let message = format!("{message}; retry later, or raise the limit ({limit})");
    resource_exhausted(reason, limit, sent, message)
}

/// Builds the error that OKEBAYAR may have sold an inquiry, for the inquiry itself and for
/// purchases of the same product. The code is one that no retry policy repeats.
pub(super) fn sold_by_inquiry(
    message: String,
    metadata: impl IntoIterator<Item = (&'static str, String)>,
) -> Status {
    let (code, reason) = (
        Code::FailedPrecondition,
        ErrorReason::InquiryAnsweredAsPurchase,
    );
    let mut builder = StatusBuilder::new(code, reason, Sent::Maybe, message);
    for (name, value) in metadata {
        builder = builder.metadata(name, value);
    }
    builder.build()
}
