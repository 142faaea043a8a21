//! `Echo`: tests the connection to OKEBAYAR.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    query_errors,
    violations::Violations,
};
use crate::{purchase::Sent, transaction::AccountName};

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 256;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::EchoRequest>,
) -> RpcResult<v1::EchoResponse> {
    let (account, message) = parse(context, request.into_inner())?;
    let echoed = context.gateway.queries.echo(&account, &message).await;
    echoed.map_err(|error| query_errors::to_status(&error, Sent::No))?;
    Ok(Response::new(v1::EchoResponse { message }))
}

fn parse(context: &RpcContext, request: v1::EchoRequest) -> Result<(AccountName, String), Status> {
    let v1::EchoRequest { account, message } = request;
    let mut violations = Violations::default();
    let account = account_field::configured(context, &account, &mut violations);
    let is_printable = message
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let is_trimmed = message.trim() == message;
    if message.is_empty() || message.len() > MESSAGE_BYTES_MAX || !is_printable || !is_trimmed {
        let problem = "it cannot be returned unchanged; give 1 to 256 printable ASCII \
                       characters, without spaces at either end";
        violations.add("message", problem);
    }
    match account {
        Some(account) if violations.is_empty() => Ok((account, message)),
        _ => Err(violations.into_status()),
    }
}
