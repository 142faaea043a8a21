//! The only map from what went wrong to `tonic::Status`.
//!
//! Every status carries one `ErrorInfo`; its `sent` is about the reference code, not
//! about the call: `no` only when the request is about none, or the store was read and shows
//! that nothing was sent under it (promise 3). What the store's client reports stays in the
//! log: it may quote a URL.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    checks::{CheckError, ResolveError},
    ledger::WatchError,
    purchase::{Holder, PurchaseError, Sent},
    queries::{QueryFailure, Refusal},
    store::StoreError,
    transaction::{CannotResolve, NotPayable, NotSent, ReferenceCode},
};

/// What is wrong with an account that is not configured.
pub(super) const NO_SUCH_ACCOUNT: &str = "it is not configured; name one of the gateway's accounts";

/// The domain of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "gateway.okebayar";

/// When an overloaded caller may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
pub(super) struct Violations {
    found: Vec<FieldViolation>,
    /// The request is about a reference code, or a transaction, that may have been sent.
    may_be_sent: bool,
}

impl Violations {
    /// Starts with the reference code that the request names.
    pub(super) fn about(reference_code: &str) -> Self {
        Self {
            found: Vec::new(),
            may_be_sent: ReferenceCode::parse(reference_code).is_ok(),
        }
    }

    /// Starts with something that was sent, or may have been.
    pub(super) fn about_sent() -> Self {
        Self {
            found: Vec::new(),
            may_be_sent: true,
        }
    }

    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.found.push(FieldViolation::new(field, problem));
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
        self.found.is_empty()
    }

    /// `INVALID_ARGUMENT` with every violation.
    pub(super) fn into_status(self) -> Status {
        let message = self
            .found
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect::<Vec<_>>()
            .join("; ");
        let mut details = ErrorDetails::new();
        details.set_bad_request(self.found);
        let sent = if self.may_be_sent {
            Sent::Maybe
        } else {
            Sent::No
        };
        with_details(
            Code::InvalidArgument,
            "INVALID_REQUEST",
            sent,
            message,
            details,
        )
    }
}

/// Reports that there is no such transaction. The reference code may have been sent all
/// the same: under another account, or before the store lost records.
pub(super) fn not_found(may_be_sent: bool) -> Status {
    let (sent, message) = if may_be_sent {
        let message = "there is no such transaction, but the reference code may have been sent: \
                       for another account, or before the store lost records; repeat the \
                       purchase under the same reference code to find out";
        (Sent::Maybe, message)
    } else {
        (Sent::No, "there is no such transaction")
    };
    status(Code::NotFound, "TRANSACTION_NOT_FOUND", sent, message)
}

/// Maps a failed purchase call.
pub(super) fn of_purchase(error: &PurchaseError) -> Status {
    let (message, sent) = (error.to_string(), error.sent());
    match error {
        PurchaseError::NoSuchAccount { .. } => {
            invalid("account", &format!("{message}; {NO_SUCH_ACCOUNT}"), sent)
        }
        PurchaseError::AmbiguousInquiry => {
            invalid("account", &format!("{message}; name the account"), sent)
        }
        PurchaseError::OtherContents { .. } => {
            let message =
                format!("{message}; read the transaction that has it before you decide anything");
            status(Code::AlreadyExists, "REFERENCE_CODE_REUSED", sent, message)
        }
        PurchaseError::NoSuchInquiry => status(Code::NotFound, "INQUIRY_NOT_FOUND", sent, message),
        PurchaseError::NotPayable(why) => {
            let reason = match why {
                NotPayable::Expired => "INQUIRY_EXPIRED",
                NotPayable::OtherContents(_) => "INQUIRY_MISMATCH",
                NotPayable::TotalUnknown => "TOTAL_UNKNOWN",
                NotPayable::Unsendable(_) => "INQUIRY_UNSENDABLE",
                NotPayable::OtherTotal(_) => "TOTAL_MISMATCH",
                NotPayable::Ambiguous => "AMBIGUOUS_INQUIRY",
            };
            status(Code::FailedPrecondition, reason, sent, message)
        }
        PurchaseError::InquiryAlreadyUsed {
            reference_code,
            holder,
        } => {
            let is_open = *holder == Holder::Open;
            let open = is_open.then_some(reference_code);
            of_bill("INQUIRY_ALREADY_USED", sent, message, open)
        }
        PurchaseError::SoldByInquiry { reference_code } => {
            let metadata = HashMap::from([("reference_code".to_owned(), reference_code.clone())]);
            sold_by_inquiry(message, metadata)
        }
        PurchaseError::BillPaymentOpen { reference_code } => {
            of_bill("BILL_PAYMENT_OPEN", sent, message, Some(reference_code))
        }
        PurchaseError::InquiryOutdated { .. } => of_bill("INQUIRY_OUTDATED", sent, message, None),
        PurchaseError::MayBeForgotten(_) => {
            let message = format!("{message}; ask OKEBAYAR about the reference code");
            status(Code::FailedPrecondition, "MAY_BE_FORGOTTEN", sent, message)
        }
        PurchaseError::Overloaded(_) | PurchaseError::NothingSent(NotSent::Overloaded) => {
            overloaded(message, sent)
        }
        PurchaseError::Overtaken => {
            let message = format!("{message}; call again with the same reference code");
            status(Code::Aborted, "REFERENCE_CODE_CONTENDED", sent, message)
        }
        PurchaseError::NothingSent(NotSent::Unreachable) => {
            unavailable("OKEBAYAR_UNREACHABLE", &message, sent)
        }
        PurchaseError::NothingSent(NotSent::HeldBack) => {
            unavailable("NOT_RECEIVED", &message, sent)
        }
        PurchaseError::NothingSent(NotSent::ClaimLost) | PurchaseError::StoreUnfit(_) => {
            unavailable("STORE_UNAVAILABLE", &message, sent)
        }
        PurchaseError::NotClaimed(error) => {
            let (code, reason, problem) = store_problem(error);
            let message = format!("{problem}; call again with the same reference code");
            status(code, reason, sent, message)
        }
        PurchaseError::Stopping(_) => unavailable("GATEWAY_STOPPING", &message, sent),
        PurchaseError::OutOfTime => out_of_time(),
        PurchaseError::OutcomeUnreadable(_) => {
            let message = format!("{message}; call again with the same reference code");
            status(Code::Unknown, "OUTCOME_UNREADABLE", sent, message)
        }
    }
}

/// Refuses a payment for what another one of its bill did. Its metadata name one that is open.
fn of_bill(reason: &str, sent: Sent, message: String, open: Option<&String>) -> Status {
    let named = open.map(|code| ("open_reference_code".to_owned(), code.clone()));
    let (code, details) = (Code::FailedPrecondition, ErrorDetails::new());
    let metadata = named.into_iter().collect();
    with_metadata(code, reason, sent, message, details, metadata)
}

/// Reports that the caller's deadline leaves no time for an answer from the store.
pub(super) fn out_of_time() -> Status {
    let message = "the deadline came before the store answered; call again with the same \
                   reference code and a later deadline";
    let (code, reason) = (Code::DeadlineExceeded, "DEADLINE_TOO_SHORT");
    status(code, reason, Sent::Maybe, message)
}

/// Reports a `grpc-timeout` that cannot be read. The request itself was not read.
pub(super) fn unreadable_timeout() -> Status {
    let message = "the deadline (grpc-timeout) cannot be read; give one, of 1 to 8 digits and a \
                   unit (H, M, S, m, u or n), or none";
    let (code, reason) = (Code::InvalidArgument, "DEADLINE_UNREADABLE");
    status(code, reason, Sent::Maybe, message)
}

/// Rejects one field of a request that is well-formed.
fn invalid(field: &str, problem: &str, sent: Sent) -> Status {
    let mut details = ErrorDetails::new();
    details.set_bad_request(vec![FieldViolation::new(field, problem)]);
    let message = format!("{field}: {problem}");
    let code = Code::InvalidArgument;
    with_details(code, "INVALID_REQUEST", sent, message, details)
}

fn overloaded(message: String, sent: Sent) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    with_details(
        Code::ResourceExhausted,
        "OVERLOADED",
        sent,
        message,
        details,
    )
}

/// Maps a refusal of the server itself. The request was not read, so nothing is known of
/// an earlier call under its reference code.
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

/// Reports that too many watch or wait: what the store holds was not read.
fn too_many(reason: &str, sent: Sent, message: &str) -> Status {
    let message =
        format!("{message}; try again, or raise the limit (limits.watchers, limits.waiters)");
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    with_details(Code::ResourceExhausted, reason, sent, message, details)
}

/// Maps a check that a caller does not wait for.
pub(super) fn of_check(error: &CheckError) -> Status {
    match error {
        CheckError::TooManyWaiting => too_many("TOO_MANY_WAITERS", Sent::Maybe, &error.to_string()),
        CheckError::Lost => not_found(true),
        CheckError::Store(error) => of_store(error),
    }
}

fn unavailable(reason: &str, message: &str, sent: Sent) -> Status {
    let message = format!("{message}; the same reference code may be used again");
    status(Code::Unavailable, reason, sent, message)
}

/// Maps a question without an answer. A caller that names a reference code may have bought
/// under it before, so an inquiry's error never says `no` about one (`sent`).
pub(super) fn of_question(error: &QueryFailure, sent: Sent) -> Status {
    let message = error.to_string();
    match error {
        QueryFailure::NoSuchAccount => invalid("account", NO_SUCH_ACCOUNT, sent),
        QueryFailure::Overloaded => overloaded(message, sent),
        QueryFailure::Unreachable(_) => {
            status(Code::Unavailable, "OKEBAYAR_UNREACHABLE", sent, message)
        }
        QueryFailure::StoreUnavailable(error) => of_store(error),
        QueryFailure::NotStored(error) => {
            let (_, _, problem) = store_problem(error);
            let message = format!("the inquiry could not be kept: {problem}; inquire again");
            status(Code::Unavailable, "STORE_UNAVAILABLE", Sent::Maybe, message)
        }
        QueryFailure::TooManyUnderCode(_) => {
            let reason = "INQUIRY_CODE_CROWDED";
            status(Code::Unavailable, reason, Sent::Maybe, message)
        }
        QueryFailure::NoAnswer(_) => {
            status(Code::Unavailable, "NO_USABLE_ANSWER", Sent::Maybe, message)
        }
        QueryFailure::SoldInstead(sale) => {
            let texts = [
                ("reference_code", Some(sale.reference_code.clone())),
                ("status_code", sale.code.map(|code| code.to_string())),
                ("price", sale.price.map(|price| price.to_string())),
            ];
            let given = |(name, text): (&str, Option<String>)| Some((name.to_owned(), text?));
            sold_by_inquiry(message, texts.into_iter().filter_map(given).collect())
        }
        QueryFailure::Refused { code, refusal } => {
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

/// Reports that an inquiry may have been sold, to its caller or to whoever buys the same:
/// not to be repeated by any retry policy.
fn sold_by_inquiry(message: String, metadata: HashMap<String, String>) -> Status {
    let (code, reason) = (Code::FailedPrecondition, "INQUIRY_ANSWERED_AS_PURCHASE");
    let details = ErrorDetails::new();
    with_metadata(code, reason, Sent::Maybe, message, details, metadata)
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

/// Maps a store that cannot be read: an earlier call may have been sent.
pub(super) fn of_store(error: &StoreError) -> Status {
    let (code, reason, problem) = store_problem(error);
    status(code, reason, Sent::Maybe, problem)
}

/// Maps a store's fault to what a caller may know of it.
fn store_problem(error: &StoreError) -> (Code, &'static str, &'static str) {
    match error {
        StoreError::Corrupt { .. } => (
            Code::DataLoss,
            "RECORD_CORRUPT",
            "what the store holds under this reference code cannot be read; an operator must \
             look at it",
        ),
        StoreError::Unavailable(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store does not answer",
        ),
        StoreError::Unsuitable(_) => (
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the store may not be used as it is; an operator must look at it",
        ),
    }
}

/// What a watch that cannot go on is on the wire.
pub(super) fn of_watch(error: &WatchError) -> Status {
    match error {
        WatchError::NotFound | WatchError::Lost => not_found(true),
        WatchError::OutOfRange(problem) => {
            let message = format!("{problem}; watch again from after_revision 0");
            let reason = "REVISION_OUT_OF_RANGE";
            status(Code::OutOfRange, reason, Sent::Maybe, message)
        }
        WatchError::Store(error) => of_store(error),
        WatchError::TooMany => too_many("TOO_MANY_WATCHERS", Sent::Maybe, &error.to_string()),
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last revision seen";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::Maybe, message)
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
            status(
                Code::OutOfRange,
                "CURSOR_OUT_OF_RANGE",
                Sent::Maybe,
                message,
            )
        }
        WatchError::Stopping => {
            let message = "the gateway is stopping; watch again from the last cursor";
            status(Code::Unavailable, "GATEWAY_STOPPING", Sent::Maybe, message)
        }
        other => of_watch(other),
    }
}

/// What a resolution that was refused is on the wire.
pub(super) fn of_resolve(error: &ResolveError) -> Status {
    let message = error.to_string();
    match error {
        ResolveError::NotFound => not_found(true),
        ResolveError::CannotResolve(CannotResolve::Changed(revision)) => {
            let metadata = HashMap::from([("revision".to_owned(), revision.to_string())]);
            with_metadata(
                Code::Aborted,
                "REVISION_CHANGED",
                Sent::Maybe,
                message,
                ErrorDetails::new(),
                metadata,
            )
        }
        ResolveError::CannotResolve(CannotResolve::WrongState(_)) => status(
            Code::FailedPrecondition,
            "NOT_RESOLVABLE",
            Sent::Maybe,
            message,
        ),
        ResolveError::Store(error) => of_store(error),
    }
}
