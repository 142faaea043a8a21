//! `WatchTransactions`: streams the changes of all transactions.

use std::pin::Pin;

use futures::{Stream, stream};
use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    message_cache::MessageCache,
    violations::Violations,
    watch_errors,
};
use crate::{
    ledger::{WatchAll, WatchFilter},
    store::Cursor,
    transaction::Labels,
};

/// The messages of one watch.
pub(super) type WatchTransactionsStream =
    Pin<Box<dyn Stream<Item = Result<v1::WatchTransactionsResponse, Status>> + Send>>;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::WatchTransactionsRequest>,
) -> RpcResult<WatchTransactionsStream> {
    let caller_deadline = deadline::of(request.metadata());
    let (filter, cursor) = parse(context, request.into_inner())?;
    let watching = async {
        let watch = context.gateway.ledger.watch_all(filter, cursor).await;
        watch.map_err(|error| watch_errors::of_all(&error))
    };
    let watch = deadline::enforce(caller_deadline, watching).await?;
    Ok(Response::new(stream_of(watch, context.messages.clone())))
}

fn parse(
    context: &RpcContext,
    request: v1::WatchTransactionsRequest,
) -> Result<(WatchFilter, Option<Cursor>), Status> {
    let mut violations = Violations::default();
    let accounts = account_field::configured_list(context, &request.accounts, &mut violations);
    let cursor = violations.optional("cursor", &request.cursor, Cursor::decode);
    let labels = violations.required("labels", Labels::parse(request.labels));
    match labels {
        Some(labels) if violations.is_empty() => Ok((WatchFilter { accounts, labels }, cursor)),
        _ => Err(violations.into_status()),
    }
}

/// Returns the watch as a stream. It is pulled, never pushed: a slow watcher holds only the
/// message that it has not taken in memory.
fn stream_of(watch: WatchAll, messages: MessageCache) -> WatchTransactionsStream {
    let state = Some((watch, messages));
    Box::pin(stream::unfold(state, |state| async {
        let (mut watch, messages) = state?;
        match watch.next().await {
            Ok(Some(next)) => {
                let response = v1::WatchTransactionsResponse {
                    transaction: next.transaction.map(|changed| messages.message(&changed)),
                    cursor: next.cursor,
                    stream_expired: next.expired,
                };
                Some((Ok(response), Some((watch, messages))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(watch_errors::of_all(&error)), None)),
        }
    }))
}
