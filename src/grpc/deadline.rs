//! The caller's deadline (`grpc-timeout`): parsing it, and responding before it passes.

use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status, metadata::MetadataMap};

use super::contract::v1::ErrorReason;
use super::status::status;
use crate::purchase::Sent;

/// The header in which a caller states its timeout.
const TIMEOUT_HEADER: &str = "grpc-timeout";

/// The most digits of a timeout; with more, hours overflow a [`Duration`].
const TIMEOUT_DIGITS_MAX: usize = 8;

/// The margin between the error of a missed deadline and that deadline: a fortieth of the
/// remaining time, and at least 50 ms. It is half the margin of a call that waits for an
/// outcome, so that such a call responds by itself first.
const MARGIN_PART: u32 = 40;
const MARGIN_MIN: Duration = Duration::from_millis(50);

/// Returns the caller's deadline. `RefusalLayer` has already rejected an unreadable
/// `grpc-timeout`.
pub(super) fn of(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get(TIMEOUT_HEADER)?.to_str().ok()?;
    Instant::now().checked_add(parse_timeout(text)?)
}

/// Returns true if the call has no deadline, or one that can be parsed.
pub(super) fn is_readable(headers: &HeaderMap) -> bool {
    let mut timeouts = headers.get_all(TIMEOUT_HEADER).iter();
    match (timeouts.next(), timeouts.next()) {
        (None, _) => true,
        (Some(timeout), None) => timeout
            .to_str()
            .is_ok_and(|text| parse_timeout(text).is_some()),
        (Some(_), Some(_)) => false,
    }
}

/// Parses a timeout: 1 to 8 digits and a unit (gRPC over HTTP/2, "Timeout").
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits || digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Awaits a call that reads the store, and fails with `DEADLINE_TOO_SHORT` shortly before the
/// caller's deadline. Otherwise the server's own timeout would end the call without
/// `ErrorInfo`.
pub(super) async fn enforce<T>(
    caller_deadline: Option<Instant>,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let Some(deadline) = caller_deadline else {
        return call.await;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let margin = (left / MARGIN_PART).max(MARGIN_MIN).min(left);
    tokio::time::timeout_at(deadline - margin, call)
        .await
        .unwrap_or_else(|_| Err(too_short()))
}

/// Builds the error of a deadline that passes before the store answers.
pub(super) fn too_short() -> Status {
    let message = "the store did not answer before the deadline; call again with the same \
                   reference code and a later deadline";
    let (code, reason) = (Code::DeadlineExceeded, ErrorReason::DeadlineTooShort);
    status(code, reason, Sent::Maybe, message)
}

/// Builds the error of an unreadable `grpc-timeout`. The request itself was not read.
pub(super) fn unreadable() -> Status {
    let message = "the deadline (grpc-timeout) cannot be parsed; give 1 to 8 digits and a unit \
                   (H, M, S, m, u or n), or no deadline";
    let (code, reason) = (Code::InvalidArgument, ErrorReason::DeadlineUnreadable);
    status(code, reason, Sent::Maybe, message)
}
