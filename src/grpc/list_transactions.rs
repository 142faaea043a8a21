//! `ListTransactions`: lists transactions by account, state and time.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    page::{self, Scope},
    store_errors, transaction_message,
    value_messages::time,
    violations::Violations,
};
use crate::{ledger::ListQuery, transaction::State};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::ListTransactionsRequest>,
) -> RpcResult<v1::ListTransactionsResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let (query, scope) = parse(context, &request.into_inner())?;
    let listing = async {
        let page = context.gateway.ledger.list(&query).await;
        page.map_err(|error| store_errors::to_status(&error))
    };
    let page = deadline::enforce(caller_deadline, listing).await?;
    let transactions = page.transactions.iter();
    let next = page.next.as_ref();
    Ok(Response::new(v1::ListTransactionsResponse {
        transactions: transactions
            .map(|found| transaction_message::build(found))
            .collect(),
        next_page_token: next
            .map(|next| page::encode_token(&scope, next))
            .unwrap_or_default(),
        watch_cursor: String::new(),
    }))
}

fn parse(
    context: &RpcContext,
    request: &v1::ListTransactionsRequest,
) -> Result<(ListQuery, Scope), Status> {
    let mut violations = Violations::default();
    let scope = Scope::of(
        "transactions",
        &v1::ListTransactionsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        },
    );
    let query = ListQuery {
        accounts: account_field::configured_list(context, &request.accounts, &mut violations),
        states: parse_states(&request.states, &mut violations),
        from: time("start_time", request.start_time.as_ref(), &mut violations),
        to: time("end_time", request.end_time.as_ref(), &mut violations),
        page_size: page::parse_size(request.page_size, &mut violations),
        after: page::parse_token(&scope, &request.page_token, &mut violations),
    };
    if violations.is_empty() {
        Ok((query, scope))
    } else {
        Err(violations.into_status())
    }
}

fn parse_states(states: &[i32], violations: &mut Violations) -> Vec<&'static str> {
    let mut found = Vec::new();
    for state in states {
        let name = v1::TransactionState::try_from(*state)
            .map(|state| state.as_str_name().trim_start_matches("STATE_"));
        let known = State::NAMES.into_iter().find(|known| Ok(*known) == name);
        if known.is_none() {
            let problem = format!("{state} is not a state; give values of State");
            violations.add("states", problem);
        }
        found.extend(known);
    }
    found
}
