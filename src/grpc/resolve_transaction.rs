//! `ResolveTransaction`: records an operator's decision about a transaction.

use tonic::{Code, Request, Response, Status};
use tracing::info;

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1::{self, ErrorReason},
    deadline,
    status::StatusBuilder,
    store_errors, transaction_lookup, transaction_message,
    violations::Violations,
};
use crate::{
    checks::ResolveError,
    purchase::Sent,
    transaction::{
        CannotResolve, ReferenceCode, Ruling, SerialNumber, TransactionKey, TransactionRef, Verdict,
    },
};

const OPERATOR_CHARS_MAX: usize = 128;
const NOTE_CHARS_MAX: usize = 1024;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ResolveTransactionRequest>,
) -> RpcResult<v1::ResolveTransactionResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let (named, ruling) = parse(request.into_inner())?;
    let resolving = async {
        match context.gateway.checks.resolve(&named, &ruling).await {
            Ok(resolved) => Ok(resolved),
            Err(ResolveError::NotFound) => {
                Err(transaction_lookup::not_found_for(context, &named.key).await)
            }
            Err(error) => Err(to_status(&error)),
        }
    };
    let resolved = deadline::enforce(caller_deadline, resolving).await?;
    info!(key = %named.key, operator = ruling.operator, "transaction resolved");
    Ok(Response::new(v1::ResolveTransactionResponse {
        transaction: Some(transaction_message::build(&resolved)),
    }))
}

fn parse(request: v1::ResolveTransactionRequest) -> Result<(TransactionRef, Ruling), Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = account_field::optional(&request.account, &mut violations);
    let reference = violations.required(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let revision = u64::try_from(request.revision).ok().filter(|n| *n > 0);
    if revision.is_none() {
        violations.add(
            "revision",
            "it is not positive; give the revision that you saw",
        );
    }
    let verdict = parse_resolution(request.resolution, &mut violations);
    check_text(
        "operator",
        &request.operator,
        OPERATOR_CHARS_MAX,
        &mut violations,
    );
    check_text("note", &request.note, NOTE_CHARS_MAX, &mut violations);
    match (reference, revision, verdict) {
        (Some(reference), Some(revision), Some(verdict)) if violations.is_empty() => {
            let ruling = Ruling {
                verdict,
                operator: request.operator,
                note: request.note,
                serial_number: SerialNumber::read(&request.serial_number),
                revision,
            };
            let named = TransactionRef {
                key: TransactionKey::new(&reference),
                account,
            };
            Ok((named, ruling))
        }
        _ => Err(violations.into_status()),
    }
}

fn parse_resolution(value: i32, violations: &mut Violations) -> Option<Verdict> {
    match v1::TransactionResolution::try_from(value) {
        Ok(v1::TransactionResolution::Succeeded) => Some(Verdict::Succeeded),
        Ok(v1::TransactionResolution::Failed) => Some(Verdict::Failed),
        Ok(v1::TransactionResolution::Reversed) => Some(Verdict::Reversed),
        Ok(v1::TransactionResolution::Unspecified) | Err(_) => {
            violations.add(
                "resolution",
                "it is missing; give SUCCEEDED, FAILED or REVERSED",
            );
            None
        }
    }
}

/// Checks a text of the operator. Logs and timelines show it to other people in one line.
fn check_text(field: &str, text: &str, chars_max: usize, violations: &mut Violations) {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > chars_max {
        let problem = format!("it has {chars} characters; give 1 to {chars_max}, not only spaces");
        violations.add(field, problem);
    }
    if text.chars().any(is_control) {
        let problem = "it holds control characters, such as a line feed; give plain text \
                       in one line";
        violations.add(field, problem);
    }
}

/// Returns true for control characters, and for those that break a line or change the
/// direction of the text.
fn is_control(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || is_invisible
}

fn to_status(error: &ResolveError) -> Status {
    let message = error.to_string();
    match error {
        ResolveError::NotFound => transaction_lookup::not_found(true),
        ResolveError::CannotResolve(CannotResolve::Changed(revision)) => StatusBuilder::new(
            Code::Aborted,
            ErrorReason::RevisionChanged,
            Sent::Maybe,
            message,
        )
        .metadata("revision", revision.to_string())
        .build(),
        ResolveError::CannotResolve(CannotResolve::WrongState(state)) => {
            let (code, reason) = (Code::FailedPrecondition, ErrorReason::NotResolvable);
            StatusBuilder::new(code, reason, Sent::Maybe, message)
                .metadata("state", *state)
                .build()
        }
        ResolveError::Store(error) => store_errors::to_status(error),
    }
}
