//! Pages of a list that is kept in order of arrival: `ListNotices` and `ListOrphanCallbacks`.

use tonic::Status;

use super::{
    account_field,
    context::RpcContext,
    page::{self, Scope},
    violations::Violations,
};
use crate::{
    store::{ListingEntry, StoreError},
    transaction::{AccountName, AccountNames},
};

/// The most items that are read for one page when the request names accounts.
const READ_MAX: usize = 400;

/// The page of a list that a request asks for, as an offset.
pub(super) struct OffsetPage {
    /// Only items of these accounts; empty for all.
    accounts: Vec<AccountName>,
    /// The most items to return.
    size: usize,
    /// The number of items to skip.
    offset: usize,
    /// The scope of page tokens.
    scope: Scope,
}

impl OffsetPage {
    /// Parses `accounts`, `page_size` and `page_token` of a request.
    pub(super) fn parse(
        context: &RpcContext,
        names: &[String],
        (size, token): (i32, &str),
        scope: Scope,
    ) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let accounts = account_field::configured_list(context, names, &mut violations);
        let size = page::parse_size(size, &mut violations);
        let after = page::parse_token(&scope, token, &mut violations);
        if !violations.is_empty() {
            return Err(violations.into_status());
        }
        let offset = after.map_or(0, |after| {
            usize::try_from(after.created_ms).unwrap_or(usize::MAX)
        });
        Ok(Self {
            accounts,
            size,
            offset,
            scope,
        })
    }

    /// Reads the page, and returns it with the token of the next one, which is empty at the
    /// end. If the request names accounts, a page may be short without being the last.
    pub(super) async fn read<T, Reading>(
        &self,
        read: impl Fn(usize, usize) -> Reading,
        names: &AccountNames,
        account: impl Fn(&T) -> &AccountName,
    ) -> Result<(Vec<T>, String), StoreError>
    where
        Reading: Future<Output = Result<Vec<T>, StoreError>>,
    {
        let is_wanted = |item: &T| {
            self.accounts.is_empty() || self.accounts.contains(names.current(account(item)))
        };
        // One extra item shows that there is another page.
        let read_size = if self.accounts.is_empty() {
            self.size.saturating_add(1)
        } else {
            READ_MAX / 4
        };
        let mut offset = self.offset;
        let (mut page, end) = (Vec::new(), offset.saturating_add(READ_MAX));
        loop {
            let items = read(offset, read_size).await?;
            let is_last = items.len() < read_size;
            for item in items {
                if page.len() == self.size {
                    return Ok((page, self.token(offset)));
                }
                offset += 1;
                page.extend(Some(item).filter(is_wanted));
            }
            if is_last {
                return Ok((page, String::new()));
            }
            if offset >= end {
                return Ok((page, self.token(offset)));
            }
        }
    }

    fn token(&self, offset: usize) -> String {
        let next = ListingEntry {
            created_ms: i64::try_from(offset).unwrap_or(i64::MAX),
            name: String::new(),
        };
        page::encode_token(&self.scope, &next)
    }
}
