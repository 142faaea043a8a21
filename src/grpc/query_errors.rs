//! Errors of the RPCs that query OKEBAYAR: `GetBalance`, `Echo`, `InquirePrepaid` and
//! `InquirePostpaid`.

use tonic::{Code, Status};

use super::contract::v1::ErrorReason;
use super::{
    account_field::NO_SUCH_ACCOUNT,
    reason_message,
    status::{StatusBuilder, overloaded, sold_by_inquiry, status},
    store_errors,
    value_messages::amount_text,
    violations::invalid_field,
};
use crate::{
    purchase::Sent,
    queries::{QueryFailure, Refusal},
    transaction::StatusCode,
};

/// Maps the error of a query. `sent` is for errors before the request reached OKEBAYAR: an
/// inquiry that names a reference code passes `Maybe`, because an earlier purchase may have
/// used it.
pub(super) fn to_status(error: &QueryFailure, sent: Sent) -> Status {
    let message = error.to_string();
    match error {
        QueryFailure::NoSuchAccount => invalid_field("account", NO_SUCH_ACCOUNT, sent),
        QueryFailure::Overloaded => overloaded("limits.sending", sent, message),
        QueryFailure::Unreachable(_) => status(
            Code::Unavailable,
            ErrorReason::OkebayarUnreachable,
            sent,
            message,
        ),
        QueryFailure::StoreUnavailable(error) => store_errors::to_status(error),
        QueryFailure::NotStored(error) => {
            let (_, _, problem) = store_errors::problem(error);
            let message = format!("the inquiry could not be stored: {problem}; inquire again");
            status(
                Code::Unavailable,
                ErrorReason::StoreUnavailable,
                Sent::Maybe,
                message,
            )
        }
        QueryFailure::TooManyUnderCode(_) => {
            let reason = ErrorReason::InquiryCodeCrowded;
            status(Code::Unavailable, reason, Sent::Maybe, message)
        }
        QueryFailure::NoAnswer(_) => status(
            Code::Unavailable,
            ErrorReason::NoUsableAnswer,
            Sent::Maybe,
            message,
        ),
        QueryFailure::SoldInstead(sale) => {
            let texts = [
                ("other_reference_code", Some(sale.reference_code.clone())),
                ("status_code", sale.code.map(|code| code.to_string())),
                ("price", sale.price.map(amount_text)),
            ];
            let known = texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, text?)));
            sold_by_inquiry(message, known)
        }
        QueryFailure::Refused { code, refusal } => {
            let (grpc_code, reason) = refused(*refusal, *code);
            StatusBuilder::new(grpc_code, reason, Sent::Maybe, message)
                .metadata("status_code", code.to_string())
                .build()
        }
    }
}

/// Returns the code and reason of a refusal by OKEBAYAR. A refusal of the gateway's own
/// credentials is not UNAUTHENTICATED: the caller would look for a fault in its own.
fn refused(refusal: Refusal, code: StatusCode) -> (Code, ErrorReason) {
    let (grpc_code, general) = match refusal {
        Refusal::NotFound => (Code::NotFound, ErrorReason::BillNotFound),
        Refusal::WrongData => (Code::InvalidArgument, ErrorReason::WrongDate),
        Refusal::Precondition => (Code::FailedPrecondition, ErrorReason::UnexpectedAnswer),
        Refusal::GatewayCredentials => (Code::FailedPrecondition, ErrorReason::GatewayCredentials),
        Refusal::Unavailable => (Code::Unavailable, ErrorReason::OkebayarUnwell),
        Refusal::Aborted => (Code::Aborted, ErrorReason::ReferenceCodeRefused),
        Refusal::Internal => (Code::Internal, ErrorReason::UnexpectedAnswer),
    };
    let documented = code.entry().documented_reason();
    let reason = documented.and_then(|why| {
        let reason = reason_message::failure(why, Some(code));
        let name = reason.as_str_name().strip_prefix("TRANSACTION_REASON_")?;
        ErrorReason::from_str_name(&format!("ERROR_REASON_{name}"))
    });
    (grpc_code, reason.unwrap_or(general))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::{super::error_reason, *};
    use crate::transaction::AsQuestion;

    /// Returns the reasons of every refusal that a status code can cause, with their gRPC codes.
    fn refusals() -> BTreeMap<ErrorReason, Vec<Code>> {
        let mut refusals: BTreeMap<ErrorReason, Vec<Code>> = BTreeMap::new();
        for number in 0..=999 {
            let code = StatusCode::read(&format!("{number:03}")).unwrap();
            if let AsQuestion::Refused(refusal) = code.entry().question {
                let (grpc_code, reason) = refused(refusal, code);
                let codes = refusals.entry(reason).or_default();
                if !codes.contains(&grpc_code) {
                    codes.push(grpc_code);
                }
            }
        }
        refusals
    }

    /// Returns the sources of the room that use error reasons, without their unit tests.
    fn sources_with_reasons() -> String {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/grpc");
        let files = std::fs::read_dir(room)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        // These list every reason, used or not.
        let lists = ["error_reason.rs", "published.rs"];
        let files = files.filter(|file| !lists.iter().any(|list| file.ends_with(list)));
        let code = files.map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            code.to_owned()
        });
        code.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_error_reason_is_used() {
        let (refusals, sources) = (refusals(), sources_with_reasons());
        let is_named = |reason: ErrorReason| {
            let name = format!("ErrorReason::{reason:?}");
            let mut found = sources
                .match_indices(&name)
                .map(|(at, _)| &sources[at + name.len()..]);
            found.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        };
        for reason in (1..).map_while(|number| ErrorReason::try_from(number).ok()) {
            let is_used = refusals.contains_key(&reason) || is_named(reason);
            assert!(is_used, "{reason:?} is published, and no error has it");
        }
        assert!(!is_named(ErrorReason::AccountBlacklisted));
    }

    #[test]
    fn refusals_have_the_published_codes_and_metadata() {
        for (reason, codes) in refusals() {
            let published = error_reason::codes(reason);
            for code in &codes {
                assert!(published.contains(code), "{reason:?}: {code:?}");
            }
            // Errors before the request reaches OKEBAYAR share this reason.
            if reason != ErrorReason::InquiryMismatch {
                assert_eq!(published.len(), codes.len(), "{reason:?}");
            }
            let keys = error_reason::metadata(reason);
            assert!(keys.contains(&"status_code"), "{reason:?}");
        }
    }

    /// A code with a documented reason has the same name in both enums of the contract.
    #[test]
    fn each_documented_reason_has_an_error_reason_of_the_same_name() {
        for number in 200..=999 {
            let code = StatusCode::read(&number.to_string()).unwrap();
            let Some(why) = code.entry().documented_reason() else {
                continue;
            };
            let expected = reason_message::failure(why, Some(code)).as_str_name();
            let expected = expected.trim_start_matches("TRANSACTION_REASON_");
            let (_, reason) = refused(Refusal::Internal, code);
            let name = error_reason::name(reason);
            assert_eq!(name, expected, "{code}");
        }
    }
}
