//! `NoticeService`.

use tonic::{Request, Response, Status};

use super::{
    accounts::Accounts,
    convert::timestamp,
    error, page, request,
    v1::{self, notice_service_server::NoticeService},
};
use crate::store::{Listed, inbox::Notice};

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
        let (accounts, page_size, start, scope) = request::notices(&self.0, &request.into_inner())?;
        let all = self.0.engine.notices().await;
        let mut all = all.map_err(|error| error::of_store(&error))?;
        let names = self.0.engine.names();
        all.retain(|notice| {
            accounts.is_empty() || accounts.contains(names.current(&notice.account))
        });
        let end = start.saturating_add(page_size);
        let next_page_token = if all.len() > end {
            let next = Listed {
                created_ms: i64::try_from(end).unwrap_or(i64::MAX),
                name: String::new(),
            };
            page::token(&scope, &next)
        } else {
            String::new()
        };
        let notices = all.into_iter().skip(start).take(page_size).map(notice);
        Ok(Response::new(v1::ListNoticesResponse {
            notices: notices.collect(),
            next_page_token,
        }))
    }
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
