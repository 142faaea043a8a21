//! The name of a transaction in a request, and the error that there is none.

use tonic::{Code, Status};

use super::contract::v1::ErrorReason;
use super::{account_field, context::RpcContext, status::status, violations::Violations};
use crate::{
    purchase::Sent,
    transaction::{ReferenceCode, TransactionKey, TransactionRef},
};

/// Parses the name of a transaction: a reference code, and an account that may be empty.
pub(super) fn parse(account: &str, reference_code: &str) -> Result<TransactionRef, Status> {
    let mut violations = Violations::about(reference_code);
    let account = account_field::optional(account, &mut violations);
    let reference = violations.required("reference_code", ReferenceCode::parse(reference_code));
    match reference {
        Some(reference) if violations.is_empty() => Ok(TransactionRef {
            key: TransactionKey::new(&reference),
            account,
        }),
        _ => Err(violations.into_status()),
    }
}

/// Builds `NOT_FOUND` for a transaction that the store does not hold. Reads whether the
/// reference code may have been sent all the same.
pub(super) async fn not_found_for(context: &RpcContext, key: &TransactionKey) -> Status {
    not_found(context.gateway.purchases.may_have_sent(key).await)
}

/// Builds `NOT_FOUND`. With `may_be_sent` the reference code may have been sent under another
/// account, or before the store lost records.
pub(super) fn not_found(may_be_sent: bool) -> Status {
    let (sent, message) = if may_be_sent {
        let message = "there is no such transaction, but the reference code may have been sent: \
                       under another account, or before the store lost records; repeat the \
                       purchase with the same reference code to find out";
        (Sent::Maybe, message)
    } else {
        (
            Sent::No,
            "there is no such transaction, and nothing was sent under its reference code",
        )
    };
    status(
        Code::NotFound,
        ErrorReason::TransactionNotFound,
        sent,
        message,
    )
}
