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
        ListingEntry, StoreError,
        inbox::{Orphan, OrphanCheck},
        notices::Notice,
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
        let engine = &self.0.engine;
        let reading = async {
            let names = engine.names();
            let read = |start, limit| engine.notices(start, limit);
            let (page, next_page_token) = cut(read, &slice, names, |one| &one.account).await?;
            let counted = page.into_iter().map(|one| engine.counted(one));
            let counted = try_join_all(counted).await?;
            Ok(v1::ListNoticesResponse {
                notices: counted.into_iter().map(notice).collect(),
                next_page_token,
            })
        };
        let reading = reading.map_err(|error: StoreError| error::of_store(&error));
        Ok(Response::new(in_time(caller_deadline, reading).await?))
    }

    async fn list_orphan_callbacks(
        &self,
        request: Request<v1::ListOrphanCallbacksRequest>,
    ) -> Result<Response<v1::ListOrphanCallbacksResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let slice = request::orphans(&self.0, &request.into_inner())?;
        let engine = &self.0.engine;
        let reading = async {
            let names = engine.names();
            let read = |start, limit| engine.orphans(start, limit);
            let (page, next_page_token) = cut(read, &slice, names, |one| &one.account).await?;
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

/// The most items that are looked through for one page of some accounts.
const LOOKED_THROUGH_MAX: usize = 400;

/// Reads one page of a list, and returns the token of the next one with it; empty at the
/// end. Of some accounts a page may hold less than it could, and not be the last.
async fn cut<T, Reading>(
    read: impl Fn(usize, usize) -> Reading,
    slice: &Slice,
    names: &AccountNames,
    account: impl Fn(&T) -> &AccountName,
) -> Result<(Vec<T>, String), StoreError>
where
    Reading: Future<Output = Result<Vec<T>, StoreError>>,
{
    let is_wanted = |item: &T| {
        slice.accounts.is_empty() || slice.accounts.contains(names.current(account(item)))
    };
    // One more tells whether there is another page.
    let at_once = if slice.accounts.is_empty() {
        slice.size.saturating_add(1)
    } else {
        LOOKED_THROUGH_MAX / 4
    };
    let mut at = slice.start;
    let (mut page, last) = (Vec::new(), at.saturating_add(LOOKED_THROUGH_MAX));
    loop {
        let items = read(at, at_once).await?;
        let is_end = items.len() < at_once;
        for item in items {
            if page.len() == slice.size {
                return Ok((page, next_page(slice, at)));
            }
            at += 1;
            page.extend(Some(item).filter(is_wanted));
        }
        if is_end {
            return Ok((page, String::new()));
        }
        if at >= last {
            return Ok((page, next_page(slice, at)));
        }
    }
}

fn next_page(slice: &Slice, start: usize) -> String {
    let next = ListingEntry {
        created_ms: i64::try_from(start).unwrap_or(i64::MAX),
        name: String::new(),
    };
    page::token(&slice.scope, &next)
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
