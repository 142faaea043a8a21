//! `GetTransaction`: reads one transaction by its reference code or trace code.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1::{self, get_transaction_request::Code},
    deadline, store_errors, transaction_lookup, transaction_message,
    violations::Violations,
};
use crate::transaction::{TraceCode, Transaction};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::GetTransactionRequest>,
) -> RpcResult<v1::GetTransactionResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let v1::GetTransactionRequest { account, code } = request.into_inner();
    let found = match &code {
        Some(Code::ReferenceCode(reference)) => {
            let reading = by_reference_code(context, &account, reference);
            deadline::enforce(caller_deadline, reading).await?
        }
        Some(Code::TraceCode(trace)) => {
            let reading = by_trace_code(context, &account, trace);
            deadline::enforce(caller_deadline, reading).await?
        }
        None => {
            let mut violations = Violations::default();
            violations.add(
                "code",
                "it is missing; give a reference_code or a trace_code",
            );
            return Err(violations.into_status());
        }
    };
    let transaction = Some(transaction_message::build(&found));
    Ok(Response::new(v1::GetTransactionResponse { transaction }))
}

async fn by_reference_code(
    context: &RpcContext,
    account: &str,
    reference_code: &str,
) -> Result<Arc<Transaction>, Status> {
    let named = transaction_lookup::parse(account, reference_code)?;
    let found = context.gateway.ledger.find(&named).await;
    match found.map_err(|error| store_errors::to_status(&error))? {
        Some(found) => Ok(found),
        None => Err(transaction_lookup::not_found_for(context, &named.key).await),
    }
}

async fn by_trace_code(
    context: &RpcContext,
    account: &str,
    trace_code: &str,
) -> Result<Arc<Transaction>, Status> {
    let mut violations = Violations::about_sent();
    let account = account_field::optional(account, &mut violations);
    let trace_code = violations.required("trace_code", TraceCode::parse(trace_code));
    let Some(trace_code) = trace_code.filter(|_| violations.is_empty()) else {
        return Err(violations.into_status());
    };
    let found = context
        .gateway
        .ledger
        .find_by_trace(account.as_ref(), &trace_code);
    let mut found = found
        .await
        .map_err(|error| store_errors::to_status(&error))?;
    if found.len() > 1 {
        violations.add(
            "account",
            "several accounts have a transaction with this trace code; give one of them",
        );
        return Err(violations.into_status());
    }
    // Trace codes are indexed on a best effort, so a miss proves nothing about any purchase.
    found
        .pop()
        .ok_or_else(|| transaction_lookup::not_found(true))
}
