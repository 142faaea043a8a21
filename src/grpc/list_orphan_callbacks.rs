//! `ListOrphanCallbacks`: lists the callbacks about unknown reference codes.

use futures::{TryFutureExt, future::try_join_all};
use tonic::{Request, Response, Status};

use super::{
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    offset_page::OffsetPage,
    page::Scope,
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
    let page = parse(context, &request.into_inner())?;
    let store = &*context.gateway.store;
    let reading = async {
        let read = |start, limit| orphans::orphans(store, start, limit);
        let page = page.read(read, context.gateway.accounts.names(), |orphan| {
            &orphan.account
        });
        let (orphans, next_page_token) = page.await?;
        let checked = orphans.into_iter().map(async |orphan| {
            let check = orphans::orphan_check(store, &orphan).await?;
            Ok(message(orphan, check))
        });
        let orphan_callbacks = try_join_all(checked).await?;
        Ok(v1::ListOrphanCallbacksResponse {
            orphan_callbacks,
            next_page_token,
        })
    };
    let reading = reading.map_err(|error: StoreError| store_errors::to_status(&error));
    Ok(Response::new(
        deadline::enforce(caller_deadline, reading).await?,
    ))
}

fn parse(
    context: &RpcContext,
    request: &v1::ListOrphanCallbacksRequest,
) -> Result<OffsetPage, Status> {
    let scope = Scope::of(
        "orphans",
        &v1::ListOrphanCallbacksRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let page = (request.page_size, request.page_token.as_str());
    OffsetPage::parse(context, &request.accounts, page, scope)
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
