//! `ListNotices`: lists the texts that OKEBAYAR sent to the partner.

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
use crate::notices::texts::{self, Notice};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ListNoticesRequest>,
) -> RpcResult<v1::ListNoticesResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let request = request.into_inner();
    let page = (request.page_size, request.page_token.as_str());
    let page = RequestedPage::parse(context, "notices", request.accounts, page)?;
    let store = &*context.gateway.store;
    let reading = async {
        let (notices, next_page_token) = page.read(context).await?;
        let counted = notices
            .into_iter()
            .map(|notice| texts::counted(store, notice));
        let counted = try_join_all(counted).await;
        let counted = counted.map_err(|error| store_errors::to_status(&error))?;
        Ok(v1::ListNoticesResponse {
            notices: counted.into_iter().map(message).collect(),
            next_page_token,
        })
    };
    Ok(Response::new(
        deadline::enforce(caller_deadline, reading).await?,
    ))
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
