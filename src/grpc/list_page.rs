//! Pages of the lists of notices and orphan callbacks: `ListNotices` and `ListOrphanCallbacks`.

use prost::Message;
use tonic::Status;

use super::{
    account_field,
    context::RpcContext,
    page::{self, Scope},
    store_errors,
    violations::{Violations, invalid_field},
};
use crate::{
    notices::pages::{self, Anchor, ListItem, ListPosition, PageError},
    purchase::Sent,
    store::ListingEntry,
    transaction::AccountName,
};

/// The field that the requests of both lists share besides their pages.
#[derive(Message)]
struct AccountsField {
    #[prost(string, repeated, tag = "1")]
    accounts: Vec<String>,
}

/// The page that a request asks for.
pub(super) struct RequestedPage {
    /// Only items of these accounts; empty for all.
    accounts: Vec<AccountName>,
    /// The most items to return.
    size: usize,
    after: ListPosition,
    /// The scope of page tokens.
    scope: Scope,
}

impl RequestedPage {
    /// Parses `accounts`, `page_size` and `page_token` of the request of a list.
    pub(super) fn parse(
        context: &RpcContext,
        list: &str,
        accounts: Vec<String>,
        (size, token): (i32, &str),
    ) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let named = account_field::configured_list(context, &accounts, &mut violations);
        let scope = Scope::of(list, &AccountsField { accounts });
        let size = page::parse_size(size, &mut violations);
        let after = page::parse_token(&scope, token, &mut violations);
        if !violations.is_empty() {
            return Err(violations.into_status());
        }
        Ok(Self {
            accounts: named,
            size,
            after: after.as_ref().map(position_of).unwrap_or_default(),
            scope,
        })
    }

    /// Reads the page, and returns it with the token of the next one, which is empty at the
    /// end. If the request names accounts, a page may be short without being the last.
    pub(super) async fn read<T: ListItem>(
        self,
        context: &RpcContext,
    ) -> Result<(Vec<T>, String), Status> {
        let names = context.gateway.accounts.names();
        let is_wanted = |item: &T| {
            self.accounts.is_empty() || self.accounts.contains(names.current(item.account()))
        };
        let store = &*context.gateway.store;
        let read = pages::read_page(store, self.after, self.size, is_wanted).await;
        let page = read.map_err(|error| match error {
            PageError::Store(error) => store_errors::to_status(&error),
            PageError::Lost => invalid_field("page_token", LOST, Sent::No),
        })?;
        let next = page.next.map(entry_of);
        let token = next.map(|next| page::encode_token(&self.scope, &next));
        Ok((page.items, token.unwrap_or_default()))
    }
}

const LOST: &str =
    "the store lost the end of the previous page; leave it empty to begin at the first page";

/// Reads a position from a token. A token of an earlier release holds only the number of items.
fn position_of(token: &ListingEntry) -> ListPosition {
    ListPosition {
        passed: usize::try_from(token.created_ms).unwrap_or(usize::MAX),
        anchor: Anchor::parse(&token.name),
    }
}

/// Returns a position as the contents of a token. An earlier release reads the number of items.
fn entry_of(position: ListPosition) -> ListingEntry {
    ListingEntry {
        created_ms: i64::try_from(position.passed).unwrap_or(i64::MAX),
        name: position
            .anchor
            .map(|anchor| anchor.to_string())
            .unwrap_or_default(),
    }
}
