//! Errors of the RPCs that query OKEBAYAR: `GetBalance`, `Echo`, `InquirePrepaid` and
//! `InquirePostpaid`.

use tonic::{Code, Status};

use super::{
    account_field::NO_SUCH_ACCOUNT,
    status::{StatusBuilder, overloaded, sold_by_inquiry, status},
    store_errors,
    violations::invalid_field,
};
use crate::{
    purchase::Sent,
    queries::{QueryFailure, Refusal},
};

/// Maps the error of a query. `sent` is for errors before the request reached OKEBAYAR: an
/// inquiry that names a reference code passes `Maybe`, because an earlier purchase may have
/// used it.
pub(super) fn to_status(error: &QueryFailure, sent: Sent) -> Status {
    let message = error.to_string();
    match error {
        QueryFailure::NoSuchAccount => invalid_field("account", NO_SUCH_ACCOUNT, sent),
        QueryFailure::Overloaded => overloaded(sent, message),
        QueryFailure::Unreachable(_) => {
            status(Code::Unavailable, "OKEBAYAR_UNREACHABLE", sent, message)
        }
        QueryFailure::StoreUnavailable(error) => store_errors::to_status(error),
        QueryFailure::NotStored(error) => {
            let (_, _, problem) = store_errors::problem(error);
            let message = format!("the inquiry could not be stored: {problem}; inquire again");
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
            let known = texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, text?)));
            sold_by_inquiry(message, known)
        }
        QueryFailure::Refused { code, refusal } => {
            let (grpc_code, reason) = refused(*refusal);
            StatusBuilder::new(grpc_code, reason, Sent::Maybe, message)
                .metadata("status_code", code.to_string())
                .build()
        }
    }
}

/// Returns the code and reason of a refusal by OKEBAYAR. A refusal of the gateway's own
/// credentials is not UNAUTHENTICATED: the caller would look for a fault in its own.
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
