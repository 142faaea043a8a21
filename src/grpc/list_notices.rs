//! `ListNotices`: lists the texts that OKEBAYAR sent to the partner.

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
    notices::texts::{self, Notice},
    store::StoreError,
};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ListNoticesRequest>,
) -> RpcResult<v1::ListNoticesResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let page = parse(context, &request.into_inner())?;
    let store = &*context.gateway.store;
    let reading = async {
        let read = |start, limit| texts::notices(store, start, limit);
        let page = page.read(read, context.gateway.accounts.names(), |notice| {
            &notice.account
        });
        let (notices, next_page_token) = page.await?;
        let counted = notices
            .into_iter()
            .map(|notice| texts::counted(store, notice));
        let counted = try_join_all(counted).await?;
        Ok(v1::ListNoticesResponse {
            notices: counted.into_iter().map(message).collect(),
            next_page_token,
        })
    };
    let reading = reading.map_err(|error: StoreError| store_errors::to_status(&error));
    Ok(Response::new(
        deadline::enforce(caller_deadline, reading).await?,
    ))
}

fn parse(context: &RpcContext, request: &v1::ListNoticesRequest) -> Result<OffsetPage, Status> {
    let scope = Scope::of(
        "notices",
        &v1::ListNoticesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let page = (request.page_size, request.page_token.as_str());
    OffsetPage::parse(context, &request.accounts, page, scope)
}

fn message(notice: Notice) -> v1::Notice {
    v1::Notice {
        account: notice.account.to_string(),
        text: notice.text,
        first_time: Some(timestamp(notice.first)),
        last_time: Some(timestamp(notice.last)),
        count: i64::try_from(notice.count).unwrap_or(i64::MAX),
    }
}
