//! `CheckTransaction`: checks the status of one transaction at OKEBAYAR.

use tonic::{Request, Response, Status};

use super::{
    context::{RpcContext, RpcResult},
    contract::v1::{self, ErrorReason},
    deadline,
    status::too_many,
    store_errors, transaction_lookup, transaction_message,
};
use crate::{checks::CheckError, purchase::Sent};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::CheckTransactionRequest>,
) -> RpcResult<v1::CheckTransactionResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let request = request.into_inner();
    let named = transaction_lookup::parse(&request.account, &request.reference_code)?;
    let checking = async {
        let checked = context
            .gateway
            .checks
            .check_now(&named, caller_deadline)
            .await;
        match checked.map_err(|error| to_status(&error))? {
            Some(checked) => Ok(checked),
            None => Err(transaction_lookup::not_found_for(context, &named.key).await),
        }
    };
    let checked = deadline::enforce(caller_deadline, checking).await?;
    Ok(Response::new(v1::CheckTransactionResponse {
        transaction: Some(transaction_message::build(&checked.transaction)),
        checked: checked.was_asked,
    }))
}

fn to_status(error: &CheckError) -> Status {
    match error {
        CheckError::TooManyWaiting => too_many(
            ErrorReason::TooManyWaiters,
            "limits.waiters",
            Sent::Maybe,
            &error.to_string(),
        ),
        CheckError::Lost => transaction_lookup::not_found(true),
        CheckError::Store(error) => store_errors::to_status(error),
    }
}
