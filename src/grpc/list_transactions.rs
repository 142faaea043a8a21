//! `ListTransactions`: lists transactions by contents, state and times.

use prost::{Message, encoding::encoded_len_varint};
use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    page::{self, Scope},
    reason_message, store_errors, transaction_message,
    value_messages::time,
    violations::Violations,
};
use crate::{
    ledger::{ListQuery, Page},
    transaction::{AccountName, AccountNumber, Labels, ProductCode, State, TransactionStatus},
};

/// The most product codes of one request.
const PRODUCT_CODES_MAX: usize = 100;
/// The largest response, in bytes: what a gRPC client accepts by default. A single transaction
/// fits: it takes less than 3 MiB ([`super::timeline_message`] bounds the only part that grows;
/// the texts of an answer that it quotes take at most 768 KiB, all else less than 64 KiB).
const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The bytes reserved for `next_page_token`, which names one reference code.
const TOKEN_BYTES_MAX: usize = 1024;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ListTransactionsRequest>,
) -> RpcResult<v1::ListTransactionsResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let list = ParsedList::parse(context, request.into_inner())?;
    let listing = async {
        let ledger = &context.gateway.ledger;
        let page = ledger.list(&list.query, |status| list.has_reason(status));
        page.await.map_err(|error| store_errors::to_status(&error))
    };
    let page = deadline::enforce(caller_deadline, listing).await?;
    Ok(Response::new(list.respond(page)))
}

/// A parsed request.
struct ParsedList {
    query: ListQuery,
    /// The reasons to list; empty for all.
    reasons: Vec<v1::TransactionReason>,
    view: v1::TransactionView,
    /// The scope of page tokens.
    scope: Scope,
}

impl ParsedList {
    fn parse(
        context: &RpcContext,
        mut request: v1::ListTransactionsRequest,
    ) -> Result<Self, Status> {
        let mut violations = Violations::default();
        let scope = scope_of(&request);
        let labels = Labels::parse(std::mem::take(&mut request.labels));
        let view = v1::TransactionView::try_from(request.view);
        let view = view.map_err(|_| "it is not a view; give a value of TransactionView");
        let number = request.account_number.as_str();
        let query = ListQuery {
            accounts: accounts(context, &request.accounts, &mut violations),
            states: states(&request.states, &mut violations),
            from: time("start_time", request.start_time.as_ref(), &mut violations),
            to: time("end_time", request.end_time.as_ref(), &mut violations),
            product_codes: product_codes(&request.product_codes, &mut violations),
            account_number: violations.optional("account_number", number, |number| {
                AccountNumber::parse(number)
            }),
            labels: violations.required("labels", labels).unwrap_or_default(),
            updated_from: time(
                "update_start_time",
                request.update_start_time.as_ref(),
                &mut violations,
            ),
            updated_to: time(
                "update_end_time",
                request.update_end_time.as_ref(),
                &mut violations,
            ),
            page_size: page::parse_size(request.page_size, &mut violations),
            after: page::parse_token(&scope, &request.page_token, &mut violations),
        };
        let reasons = reasons(&request.reasons, &mut violations);
        match violations.required("view", view) {
            Some(view) if violations.is_empty() => Ok(Self {
                query,
                reasons,
                view,
                scope,
            }),
            _ => Err(violations.into_status()),
        }
    }

    fn has_reason(&self, status: &TransactionStatus) -> bool {
        self.reasons.is_empty() || self.reasons.contains(&reason_message::build(status))
    }

    /// Builds the response: as much of the page as fits, and at least one transaction.
    fn respond(&self, page: Page) -> v1::ListTransactionsResponse {
        let watch_cursor = page.head.map(|head| head.encode()).unwrap_or_default();
        let mut left = RESPONSE_BYTES_MAX - TOKEN_BYTES_MAX;
        left = left.saturating_sub(field_len(watch_cursor.len()));
        let found = page.transactions.into_iter().map(|listed| {
            let message = transaction_message::view(&listed.transaction, self.view);
            (message, listed.entry)
        });
        let (transactions, cut) = fitting(found, left);
        let next = cut.or(page.next);
        v1::ListTransactionsResponse {
            transactions,
            next_page_token: next
                .map(|next| page::encode_token(&self.scope, &next))
                .unwrap_or_default(),
            watch_cursor,
        }
    }
}

/// Takes as many transactions as fit in `left` bytes, and at least one. If that leaves any out,
/// also returns the position of the last one taken.
fn fitting<P>(
    found: impl Iterator<Item = (v1::Transaction, P)>,
    mut left: usize,
) -> (Vec<v1::Transaction>, Option<P>) {
    let (mut taken, mut last) = (Vec::new(), None);
    for (transaction, position) in found {
        let size = field_len(transaction.encoded_len());
        if size > left && !taken.is_empty() {
            return (taken, last);
        }
        left = left.saturating_sub(size);
        taken.push(transaction);
        last = Some(position);
    }
    (taken, None)
}

/// Returns the bytes of a field of the response whose contents have `len` bytes: its tag is one
/// byte.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn scope_of(request: &v1::ListTransactionsRequest) -> Scope {
    let others = v1::ListTransactionsRequest {
        page_size: 0,
        page_token: String::new(),
        labels: [].into(),
        ..request.clone()
    };
    Scope::of_labelled("transactions", &others, &request.labels)
}

fn accounts(
    context: &RpcContext,
    names: &[String],
    violations: &mut Violations,
) -> Vec<AccountName> {
    let mut found = account_field::configured_list(context, names, violations);
    found.sort_unstable();
    found.dedup();
    found
}

fn states(states: &[i32], violations: &mut Violations) -> Vec<&'static str> {
    let mut found = Vec::new();
    for state in states {
        let known = v1::TransactionState::try_from(*state).ok();
        let name = known.and_then(|known| known.as_str_name().strip_prefix("TRANSACTION_STATE_"));
        let known = State::NAMES.into_iter().find(|known| Some(*known) == name);
        match known {
            Some(known) if found.contains(&known) => {}
            Some(known) => found.push(known),
            None => violations.add(
                "states",
                format!("{state} is not a state; give values of TransactionState"),
            ),
        }
    }
    found
}

fn reasons(reasons: &[i32], violations: &mut Violations) -> Vec<v1::TransactionReason> {
    let mut found = Vec::new();
    for reason in reasons {
        match v1::TransactionReason::try_from(*reason) {
            Ok(known) if found.contains(&known) => {}
            Ok(known) if known != v1::TransactionReason::Unspecified => found.push(known),
            _ => violations.add(
                "reasons",
                format!("{reason} is not a reason; give values of TransactionReason"),
            ),
        }
    }
    found
}

fn product_codes(codes: &[String], violations: &mut Violations) -> Vec<ProductCode> {
    if codes.len() > PRODUCT_CODES_MAX {
        let count = codes.len();
        let problem = format!("it has {count} entries; give at most {PRODUCT_CODES_MAX}");
        violations.add("product_codes", problem);
        return Vec::new();
    }
    let parsed = codes.iter().map(ProductCode::parse);
    parsed
        .filter_map(|code| violations.required("product_codes", code))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(info: usize) -> v1::Transaction {
        v1::Transaction {
            info: "x".repeat(info),
            ..v1::Transaction::default()
        }
    }

    fn taken(infos: &[usize], left: usize) -> (usize, Option<usize>) {
        let found = infos.iter().map(|info| transaction(*info)).zip(1..);
        let (taken, last) = fitting(found, left);
        (taken.len(), last)
    }

    #[test]
    fn page_ends_before_the_response_is_too_long() {
        let response = |infos: &[usize]| v1::ListTransactionsResponse {
            transactions: infos.iter().map(|info| transaction(*info)).collect(),
            ..v1::ListTransactionsResponse::default()
        };
        let infos = [3, 200, 20_000, 1];
        for count in 1..=infos.len() {
            let size = response(&infos[..count]).encoded_len();
            let more = (count < infos.len()).then_some(count);
            assert_eq!(taken(&infos, size), (count, more));
            if count > 1 {
                assert_eq!(taken(&infos, size - 1), (count - 1, Some(count - 1)));
            }
        }
    }

    #[test]
    fn page_holds_one_transaction_of_any_size() {
        assert_eq!(taken(&[1000, 1], 10), (1, Some(1)));
        assert_eq!(taken(&[1000], 10), (1, None));
        assert_eq!(taken(&[], 10), (0, None));
    }
}
