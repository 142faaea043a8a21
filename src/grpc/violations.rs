//! The violations of a request, reported all at once.

use std::fmt::Display;

use tonic::{Code, Status};
use tonic_types::FieldViolation;

use super::contract::v1::ErrorReason;
use super::status::StatusBuilder;
use crate::{purchase::Sent, transaction::ReferenceCode};

/// The violations found in a request so far.
#[derive(Default)]
pub(super) struct Violations {
    found: Vec<FieldViolation>,
    /// The request names a reference code or transaction that may have been sent.
    may_be_sent: bool,
}

impl Violations {
    /// Starts for a request that names a reference code. A valid one may have been sent.
    pub(super) fn about(reference_code: &str) -> Self {
        Self {
            found: Vec::new(),
            may_be_sent: ReferenceCode::parse(reference_code).is_ok(),
        }
    }

    /// Starts for a request about a transaction that was sent, or may have been.
    pub(super) fn about_sent() -> Self {
        Self {
            found: Vec::new(),
            may_be_sent: true,
        }
    }

    /// Adds a violation of a field.
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.found.push(FieldViolation::new(field, problem));
    }

    /// Returns the parsed value of a field, or adds its error and returns `None`.
    pub(super) fn required<T, E: Display>(
        &mut self,
        field: &str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed
            .map_err(|error| self.add(field, error.to_string()))
            .ok()
    }

    /// Parses a field that may be empty; returns `None` if it is, or if it is invalid.
    pub(super) fn optional<T, E: Display>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        self.required(field, parse(text))
    }

    /// Returns true if no violation was found.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Builds `INVALID_ARGUMENT` with every violation.
    pub(super) fn into_status(self) -> Status {
        let message = self
            .found
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect::<Vec<_>>()
            .join("; ");
        let sent = if self.may_be_sent {
            Sent::Maybe
        } else {
            Sent::No
        };
        invalid_request(sent, message, self.found)
    }
}

/// Builds `INVALID_ARGUMENT` for one field that is well-formed but not acceptable.
pub(super) fn invalid_field(field: &str, problem: &str, sent: Sent) -> Status {
    let message = format!("{field}: {problem}");
    invalid_request(sent, message, vec![FieldViolation::new(field, problem)])
}

fn invalid_request(sent: Sent, message: String, violations: Vec<FieldViolation>) -> Status {
    StatusBuilder::new(
        Code::InvalidArgument,
        ErrorReason::InvalidRequest,
        sent,
        message,
    )
    .bad_request(violations)
    .build()
}
