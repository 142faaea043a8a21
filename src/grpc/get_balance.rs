//! `GetBalance`: queries the deposit of an account.

use tonic::{Request, Response};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    query_errors,
    value_messages::{money, text_or_empty, timestamp},
    violations::Violations,
};
use crate::purchase::Sent;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::GetBalanceRequest>,
) -> RpcResult<v1::GetBalanceResponse> {
    let request = request.into_inner();
    let mut violations = Violations::default();
    let account = account_field::configured(context, &request.account, &mut violations);
    let Some(account) = account else {
        return Err(violations.into_status());
    };
    let balance = context.gateway.queries.balance(&account).await;
    let (balance, details) = balance.map_err(|error| query_errors::to_status(&error, Sent::No))?;
    Ok(Response::new(v1::GetBalanceResponse {
        balance: Some(money(balance)),
        response_time: details.time.map(timestamp),
        trace_code: text_or_empty(details.trace_code),
    }))
}
