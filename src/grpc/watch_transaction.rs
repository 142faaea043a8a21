//! `WatchTransaction`: streams the changes of one transaction.

use std::pin::Pin;

use futures::{Stream, stream};
use tonic::{Request, Response, Status};

use super::{
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline, transaction_lookup, transaction_message,
    violations::Violations,
    watch_errors,
};
use crate::{
    ledger::{Watch, WatchError},
    transaction::TransactionRef,
};

/// The messages of one watch.
pub(super) type WatchTransactionStream =
    Pin<Box<dyn Stream<Item = Result<v1::WatchTransactionResponse, Status>> + Send>>;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::WatchTransactionRequest>,
) -> RpcResult<WatchTransactionStream> {
    let caller_deadline = deadline::of(request.metadata());
    let request = request.into_inner();
    let (named, after) = parse(&request)?;
    let watching = async {
        let key = named.key.clone();
        let ledger = &context.gateway.ledger;
        match ledger.watch(named, after, request.until_terminal).await {
            Ok(watch) => Ok(watch),
            Err(WatchError::NotFound) => {
                Err(transaction_lookup::not_found_for(context, &key).await)
            }
            Err(error) => Err(watch_errors::of_one(&error)),
        }
    };
    let watch = deadline::enforce(caller_deadline, watching).await?;
    Ok(Response::new(stream_of(watch)))
}

fn parse(request: &v1::WatchTransactionRequest) -> Result<(TransactionRef, u64), Status> {
    let named = transaction_lookup::parse(&request.account, &request.reference_code)?;
    let Ok(after) = u64::try_from(request.after_revision) else {
        let mut violations = Violations::about(&request.reference_code);
        violations.add(
            "after_revision",
            "it is negative; give 0 or the last revision received",
        );
        return Err(violations.into_status());
    };
    Ok((named, after))
}

/// Returns the watch as a stream. It is pulled, never pushed: a slow watcher holds only the
/// message that it has not taken in memory.
fn stream_of(watch: Watch) -> WatchTransactionStream {
    Box::pin(stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(Some(next)) => {
                let transaction = next.transaction.as_deref();
                let response = v1::WatchTransactionResponse {
                    transaction: transaction.map(transaction_message::build),
                    revision: next.revision.try_into().unwrap_or(i64::MAX),
                    stream_expired: next.expired,
                };
                Some((Ok(response), Some(watch)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(watch_errors::of_one(&error)), None)),
        }
    }))
}
