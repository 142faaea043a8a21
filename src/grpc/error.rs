//! The only map from what went wrong to `tonic::Status`.
//!
//! Every status carries one `ErrorInfo`; its `sent` says `no` only when nothing
//! went to OKEBAYAR (promise 3).

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    engine::{CheckError, PurchaseError, QuestionError, Refusal, ResolveError, WatchError},
    store::StoreError,
    transaction::{CannotResolve, NotPayable, NotSent},
};

/// What is wrong with an account that is not configured.
pub(super) const NO_SUCH_ACCOUNT: &str = "it is not configured; name one of the gateway's accounts";

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "gateway.okebayar";

/// When an overloaded caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether something can have gone to OKEBAYAR.
#[derive(Clone, Copy)]
enum Sent {
    No,
    Maybe,
}

fn status(code: Code, reason: &str, sent: Sent, message: impl Into<String>) -> Status {
    with_details(code, reason, sent, message, ErrorDetails::new())
}

fn with_details(
    code: Code,
    reason: &str,
    sent: Sent,
    message: impl Into<String>,
    details: ErrorDetails,
) -> Status {
    with_metadata(code, reason, sent, message, details, HashMap::new())
}

fn with_metadata(
    code: Code,
    reason: &str,
    sent: Sent,
    message: impl Into<String>,
    mut details: ErrorDetails,
    mut metadata: HashMap<String, String>,
) -> Status {
    let sent = match sent {
        Sent::No => "no",
        Sent::Maybe => "maybe",
    };
    metadata.insert("sent".to_owned(), sent.to_owned());
    details.set_error_info(reason, ERROR_DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

/// What is wrong with the fields of a request, all of them at once.
#[derive(Default)]
pub(super) struct Violations(Vec<FieldViolation>);

impl Violations {
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.push(FieldViolation::new(field, problem));
    }

    /// The value of a field, or `None` and a violation.
    pub(super) fn keep<T, E: std::fmt::Display>(
        &mut self,
        field: &str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed
            .map_err(|error| self.add(field, error.to_string()))
            .ok()
    }

    /// The value of a field that may be left empty, or `None`.
    pub(super) fn keep_some<T, E: std::fmt::Display>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        self.keep(field, parse(text))
    }

    /// True as long as nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `INVALID_ARGUMENT` with every violation.
    pub(super) fn into_status(self) -> Status {
        let message = self
            .0
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect::<Vec<_>>()
            .join("; ");
        let mut details = ErrorDetails::new();
        details.set_bad_request(self.0);
        with_details(
            Code::InvalidArgument,
            "INVALID_REQUEST",
            Sent::No,
            message,
            details,
        )
    }
}

/// There is no such transaction, or the store may have forgotten it.
pub(super) fn not_found(may_be_forgotten: bool) -> Status {
    let (sent, message) = if may_be_forgotten {
        let message = "there is no such transaction, but the store may have forgotten it; buy under \
                       the same reference code to have it found, or ask OKEBAYAR";
        (Sent::Maybe, message)
    } else {
        (Sent::No, "there is no such transaction")
    };
    status(Code::NotFound, "TRANSACTION_NOT_FOUND", sent, message)
}

/// What a failed purchase call is on the wire.
pub(super) fn of_purchase(error: &PurchaseError) -> Status {
    let message = error.to_string();
    match error {
        PurchaseError::NoSuchAccount(_) => no_such_account(),
        PurchaseError::OtherContents(_) => {
            let message = format!("{message}; buy this under a new reference code");
            status(
                Code::AlreadyExists,
                "REFERENCE_CODE_REUSED",
                Sent::No,
                message,
            )
        }
        PurchaseError::NoSuchInquiry => {
            status(Code::NotFound, "INQUIRY_NOT_FOUND", Sent::No, message)
        }
        PurchaseError::NotPayable(why) => {
            let reason = match why {
                NotPayable::Expired => "INQUIRY_EXPIRED",
                NotPayable::OtherContents(_) => "INQUIRY_MISMATCH",
                NotPayable::TotalUnknown => "TOTAL_UNKNOWN",
                NotPayable::OtherTotal(_) => "TOTAL_MISMATCH",
            };
            status(Code::FailedPrecondition, reason, Sent::No, message)
        }
        PurchaseError::InquiryAlreadyUsed => status(
            Code::FailedPrecondition,
            "INQUIRY_ALREADY_USED",
            Sent::No,
            message,
        ),
        PurchaseError::MayBeForgotten(_) => {
            let message = format!("{message}; ask OKEBAYAR about the reference code");
            status(
                Code::FailedPrecondition,
                "MAY_BE_FORGOTTEN",
                Sent::Maybe,
                message,
            )
        }
        PurchaseError::Overloaded | PurchaseError::NothingSent(NotSent::Overloaded) => {
            overloaded(message)
        }
        PurchaseError::NothingSent(NotSent::Unreachable) => {
            unavailable("OKEBAYAR_UNREACHABLE", &message)
        }
        PurchaseError::NothingSent(NotSent::HeldBack) => unavailable("NOT_RECEIVED", &message),
        PurchaseError::NothingSent(NotSent::ClaimLost) | PurchaseError::NotClaimed(_) => {
            unavailable("STORE_UNAVAILABLE", &message)
        }
        PurchaseError::Stopping => unavailable("GATEWAY_STOPPING", &message),
        PurchaseError::OutcomeUnreadable(_) => {
            let message = format!("{message}; call again with the same reference code");
            status(Code::Unknown, "OUTCOME_UNREADABLE", Sent::Maybe, message)
        }
    }
}

fn overloaded(message: String) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    with_details(
        Code::ResourceExhausted,
        "OVERLOADED",
        Sent::No,
        message,
        details,
    )
}

/// What a refusal of the server itself is on the wire. The request was not read, so
/// nothing is known of an earlier call under its reference code.
pub(super) fn of_refusal(refusal: &Status) -> Status {
    let (code, reason, remedy) = match refusal.code() {
        Code::OutOfRange => (
            Code::ResourceExhausted,
            "REQUEST_TOO_LARGE",
            "the request is too long; shorten its fields",
        ),
        Code::Internal => (
            Code::InvalidArgument,
            "REQUEST_UNREADABLE",
            "the request cannot be read; send it as the contract defines it",
        ),
        Code::Unimplemented => (
            Code::Unimplemented,
            "METHOD_UNKNOWN",
            "there is no such method, or its compression is not supported; compare the \
             contract that the gateway serves (reflection)",
        ),
        other => (other, "REFUSED_BY_SERVER", "the call was refused"),
    };
    let message = match refusal.message() {
        "" => remedy.to_owned(),
        problem => format!("{remedy} ({problem})"),
    };
    status(code, reason, Sent::Maybe, message)
}

/// Too many watch or wait: what the store holds was not read.
fn too_many(reason: &str, sent: Sent, message: &str) -> Status {
    let message =
        format!("{message}; try again, or raise the limit (limits.watchers, limits.waiters)");
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    with_details(Code::ResourceExhausted, reason, sent, message, details)
}

/// What a check that a caller does not wait for is on the wire.
pub(super) fn of_check(error: &CheckError) -> Status {
    match error {
        CheckError::TooManyWaiting => too_many("TOO_MANY_WAITERS", Sent::Maybe, &error.to_string()),
        CheckError::Lost => not_found(true),
        CheckError::Store(error) => of_store(error),
    }
}

fn unavailable(reason: &str, message: &str) -> Status {
    let message = format!("{message}; the same reference code may be used again");
    status(Code::Unavailable, reason, Sent::No, message)
}

fn no_such_account() -> Status {
    let mut violations = Violations::default();
    violations.add("account", NO_SUCH_ACCOUNT);
    violations.into_status()
}

/// What a question without an answer is on the wire.
pub(super) fn of_question(error: &QuestionError) -> Status {
    let message = error.to_string();
    match error {
        QuestionError::NoSuchAccount => no_such_account(),
        QuestionError::Overloaded => overloaded(message),
        QuestionError::Unreachable(_) => {
            status(Code::Unavailable, "OKEBAYAR_UNREACHABLE", Sent::No, message)
        }
        QuestionError::Store(error) => of_store(error),
        QuestionError::NotKept(_) => {
            let message = format!("{message}; inquire again");
            status(Code::Unavailable, "STORE_UNAVAILABLE", Sent::Maybe, message)
        }
        QuestionError::NoAnswer(_) => {
            status(Code::Unavailable, "NO_USABLE_ANSWER", Sent::Maybe, message)
        }
        QuestionError::Refused { code, refusal } => {
            let (grpc_code, reason) = refused(*refusal);
            let metadata = HashMap::from([("status_code".to_owned(), code.to_string())]);
            with_metadata(
                grpc_code,
                reason,
                Sent::Maybe,
                message,
                ErrorDetails::new(),
                metadata,
            )
        }
    }
}

/// Never UNAUTHENTICATED for our own credentials: that would tell the caller to
/// change theirs.
fn refused(refusal: Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::NotFound => (Code::NotFound, "NOT_FOUND"),
        Refusal::WrongData => (Code::InvalidArgument, "WRONG_DATA"),
        Refusal::Precondition => (Code::FailedPrecondition, "REFUSED"),
        Refusal::GatewayCredentials => (Code::FailedPrecondition, "GATEWAY_CREDENTIALS"),
        Refusal::Unavailable => (Code::Unavailable, "OKEBAYAR_UNWELL"),
        Refusal::Aborted => (Code::Aborted, "REFERENCE_CODE_REFUSED"),
        Refusal::Internal => (Code::Internal, "UNEXPECTED_ANSWER"),
    }
}

/// What a store that cannot be read is on the wire.
pub(super) fn of_store(error: &StoreError) -> Status {
    let (code, reason) = match error {
        StoreError::Corrupt { .. } => (Code::DataLoss, "RECORD_CORRUPT"),
        StoreError::Unavailable(_) | StoreError::Unsuitable(_) => {
            (Code::Unavailable, "STORE_UNAVAILABLE")
        }
    };
    status(code, reason, Sent::No, error.to_string())
}

/// What a watch that cannot go on is on the wire.
pub(super) fn of_watch(error: &WatchError) -> Status {
    match error {
        WatchError::NotFound { may_be_forgotten } => not_found(*may_be_forgotten),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; watch again from after_revision 0");
            status(Code::OutOfRange, "REVISION_OUT_OF_RANGE", Sent::No, message)
        }
        WatchError::Store(error) => of_store(error),
        WatchError::TooMany => too_many("TOO_MANY_WATCHERS", Sent::Maybe, &error.to_string()),
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last revision seen";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::No, message)
        }
    }
}

/// What a watch of everything that cannot go on is on the wire.
pub(super) fn of_watch_all(error: &WatchError) -> Status {
    match error {
        // It is about no reference code.
        WatchError::TooMany => too_many("TOO_MANY_WATCHERS", Sent::No, &error.to_string()),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; list the transactions, and watch from now");
            status(Code::OutOfRange, "CURSOR_OUT_OF_RANGE", Sent::No, message)
        }
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last cursor";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::No, message)
        }
        other => of_watch(other),
    }
}

/// What a resolution that was refused is on the wire.
pub(super) fn of_resolve(error: &ResolveError) -> Status {
    let message = error.to_string();
    match error {
        ResolveError::NotFound { may_be_forgotten } => not_found(*may_be_forgotten),
        ResolveError::CannotResolve(CannotResolve::Changed(revision)) => {
            let metadata = HashMap::from([("revision".to_owned(), revision.to_string())]);
            with_metadata(
                Code::Aborted,
                "REVISION_CHANGED",
                Sent::No,
                message,
                ErrorDetails::new(),
                metadata,
            )
        }
        ResolveError::CannotResolve(CannotResolve::WrongState(_)) => status(
            Code::FailedPrecondition,
            "NOT_RESOLVABLE",
            Sent::No,
            message,
        ),
        ResolveError::Store(error) => of_store(error),
    }
}
