//! `ListOrphanCallbacks`: lists the callbacks about unknown reference codes.

use futures::future::try_join_all;
use tonic::{Request, Response};

use super::{
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    list_page::RequestedPage,
    store_errors,
    value_messages::timestamp,
};
use crate::{
    notices::orphans::{self, Orphan, OrphanCheck},
    store::StoreError,
    transaction::StatusCode,
};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ListOrphanCallbacksRequest>,
) -> RpcResult<v1::ListOrphanCallbacksResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let request = request.into_inner();
    let page = (request.page_size, request.page_token.as_str());
    let page = RequestedPage::parse(context, "orphans", request.accounts, page)?;
    let store = &*context.gateway.store;
    let reading = async {
        let (orphans, next_page_token) = page.read::<Orphan>(context).await?;
        let checked = orphans.into_iter().map(async |orphan| {
            let check = orphans::orphan_check(store, &orphan).await?;
            Ok(message(orphan, check))
        });
        let checked: Result<_, StoreError> = try_join_all(checked).await;
        Ok(v1::ListOrphanCallbacksResponse {
            orphan_callbacks: checked.map_err(|error| store_errors::to_status(&error))?,
            next_page_token,
        })
    };
    Ok(Response::new(
        deadline::enforce(caller_deadline, reading).await?,
    ))
}

fn message(orphan: Orphan, check: Option<OrphanCheck>) -> v1::OrphanCallback {
    v1::OrphanCallback {
        account: orphan.account.to_string(),
        reference_code: orphan.reference_code,
        status_meaning: meaning(&orphan.status),
        status_code: orphan.status,
        time: Some(timestamp(orphan.at)),
        check: check.map(|check| {
            let status_code = check.status.unwrap_or_default();
            v1::OrphanCheck {
                time: Some(timestamp(check.at)),
                status_meaning: meaning(&status_code),
                status_code,
                problem: check.problem.unwrap_or_default(),
            }
        }),
    }
}

fn meaning(status: &str) -> String {
    StatusCode::read(status).map_or_else(String::new, |code| code.meaning().to_owned())
}
