//! `NoticeService`.

use futures::{TryFutureExt, future::try_join_all};
use tonic::{Request, Response, Status};

use super::{
    accounts::Accounts,
    convert::timestamp,
    error, page,
    request::{self, Slice, deadline, in_time},
    v1::{self, notice_service_server::NoticeService},
};
use crate::{
    store::{
        Listed, StoreError,
        inbox::{Notice, Orphan, OrphanCheck},
    },
    transaction::{AccountName, AccountNames, StatusCode},
};

/// Serves `NoticeService` over the engine.
pub struct Notices(Accounts);

impl Notices {
    /// The service, for these accounts.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self(accounts)
    }
}

#[tonic::async_trait]
impl NoticeService for Notices {
    async fn list_notices(
        &self,
        request: Request<v1::ListNoticesRequest>,
    ) -> Result<Response<v1::ListNoticesResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let slice = request::notices(&self.0, &request.into_inner())?;
        let reading = async {
            let all = self.0.engine.notices().await;
            all.map_err(|error| error::of_store(&error))
        };
        let all = in_time(caller_deadline, reading).await?;
        let names = self.0.engine.names();
        let (page, next_page_token) = cut(all, &slice, names, |notice| &notice.account);
        Ok(Response::new(v1::ListNoticesResponse {
            notices: page.into_iter().map(notice).collect(),
            next_page_token,
        }))
    }

    async fn list_orphan_callbacks(
        &self,
        request: Request<v1::ListOrphanCallbacksRequest>,
    ) -> Result<Response<v1::ListOrphanCallbacksResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let slice = request::orphans(&self.0, &request.into_inner())?;
        let engine = &self.0.engine;
        let reading = async {
            let all = engine.orphans().await?;
            let names = engine.names();
            let (page, next_page_token) = cut(all, &slice, names, |orphan| &orphan.account);
            let checked = page.into_iter().map(async |one| {
                let check = engine.orphan_check(&one).await?;
                Ok(orphan(one, check))
            });
            let orphan_callbacks = try_join_all(checked).await?;
            Ok(v1::ListOrphanCallbacksResponse {
                orphan_callbacks,
                next_page_token,
            })
        };
        let reading = reading.map_err(|error: StoreError| error::of_store(&error));
        Ok(Response::new(in_time(caller_deadline, reading).await?))
    }
}

/// One page of a list, and the token of the next one; empty at the end.
fn cut<T>(
    mut all: Vec<T>,
    slice: &Slice,
    names: &AccountNames,
    account: impl Fn(&T) -> &AccountName,
) -> (Vec<T>, String) {
    all.retain(|item| {
        slice.accounts.is_empty() || slice.accounts.contains(names.current(account(item)))
    });
    let end = slice.start.saturating_add(slice.size);
    let next_page_token = if all.len() > end {
        let next = Listed {
            created_ms: i64::try_from(end).unwrap_or(i64::MAX),
            name: String::new(),
        };
        page::token(&slice.scope, &next)
    } else {
        String::new()
    };
    let page = all.into_iter().skip(slice.start).take(slice.size);
    (page.collect(), next_page_token)
}

fn orphan(orphan: Orphan, check: Option<OrphanCheck>) -> v1::OrphanCallback {
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

fn notice(notice: Notice) -> v1::Notice {
    v1::Notice {
        account: notice.account.to_string(),
        text: notice.text,
        first_time: Some(timestamp(notice.first)),
        last_time: Some(timestamp(notice.last)),
        count: i64::try_from(notice.count).unwrap_or(i64::MAX),
    }
}
