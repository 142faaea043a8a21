//! `TransactionService`.

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::{
    accounts::Accounts,
    convert,
    converted::Converted,
    error::{self, Violations},
    page,
    request::{self, deadline, in_time},
    v1::{self, transaction_service_server::TransactionService},
};
use crate::{
    checks::ResolveError,
    gateway::Gateway,
    ledger::{Wait, WaitUntil, Watch, WatchAll, WatchError},
    purchase::Purchase,
    transaction::{Intent, TraceCode, Transaction, TransactionKey},
};

/// Serves `TransactionService` over the gateway.
pub struct Transactions {
    accounts: Accounts,
    gateway: Gateway,
    converted: Converted,
}

impl Transactions {
    /// The service, for the transactions of these accounts.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        let gateway = accounts.gateway.clone();
        Self {
            accounts,
            gateway,
            converted: Converted::default(),
        }
    }

    /// Returns the error that there is no such transaction.
    async fn not_found(&self, key: &TransactionKey) -> Status {
        error::not_found(self.gateway.purchases.may_have_sent(key).await)
    }

    async fn by_trace_code(
        &self,
        account: &str,
        trace_code: &str,
    ) -> Result<Arc<Transaction>, Status> {
        let mut violations = Violations::about_sent();
        let account = request::named_account(account, &mut violations);
        let trace_code = violations.keep("trace_code", TraceCode::parse(trace_code));
        let Some(trace_code) = trace_code.filter(|_| violations.is_empty()) else {
            return Err(violations.into_status());
        };
        let found = self
            .gateway
            .ledger
            .find_by_trace(account.as_ref(), &trace_code);
        let mut found = found.await.map_err(|error| error::of_store(&error))?;
        if found.len() > 1 {
            violations.add("account", "several accounts have this trace code; name one");
            return Err(violations.into_status());
        }
        match found.pop() {
            Some(found) => Ok(found),
            // Not every trace code is indexed: this proves nothing about any purchase.
            None => Err(error::not_found(true)),
        }
    }

    async fn by_reference_code(
        &self,
        account: &str,
        reference_code: &str,
    ) -> Result<Arc<Transaction>, Status> {
        let named = request::named(account, reference_code)?;
        let found = self.gateway.ledger.find(&named).await;
        match found.map_err(|error| error::of_store(&error))? {
            Some(found) => Ok(found),
            None => Err(self.not_found(&named.key).await),
        }
    }

    async fn buy(
        &self,
        (intent, until): (Intent, WaitUntil),
        caller_deadline: Option<tokio::time::Instant>,
    ) -> Result<Purchase, Status> {
        let reference_code = intent.reference_code.clone();
        let wait = Wait {
            until,
            caller_deadline,
        };
        let operation = intent.contents.operation();
        let bought = self
            .gateway
            .purchases
            .purchase(intent, wait)
            .await
            .map_err(|error| {
                info!(%reference_code, %error, "a purchase was refused");
                error::of_purchase(&error)
            })?;
        if bought.replayed {
            self.gateway.metrics.replay(operation);
        }
        Ok(bought)
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Watched = Streamed<v1::WatchTransactionResponse>;
type WatchedAll = Streamed<v1::WatchTransactionsResponse>;

#[tonic::async_trait]
impl TransactionService for Transactions {
    async fn purchase_prepaid(
        &self,
        request: Request<v1::PurchasePrepaidRequest>,
    ) -> Result<Response<v1::PurchasePrepaidResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let wanted = request::purchase(&self.accounts, request.into_inner())?;
        let purchase = self.buy(wanted, caller_deadline).await?;
        Ok(Response::new(v1::PurchasePrepaidResponse {
            transaction: Some(convert::transaction(&purchase.transaction)),
            replayed: purchase.replayed,
        }))
    }

    async fn pay_postpaid(
        &self,
        request: Request<v1::PayPostpaidRequest>,
    ) -> Result<Response<v1::PayPostpaidResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let wanted = request::payment(&self.accounts, request.into_inner())?;
        let payment = self.buy(wanted, caller_deadline).await?;
        Ok(Response::new(v1::PayPostpaidResponse {
            transaction: Some(convert::transaction(&payment.transaction)),
            replayed: payment.replayed,
        }))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        use v1::get_transaction_request::Code;
        let caller_deadline = deadline(request.metadata());
        let v1::GetTransactionRequest { account, code } = request.into_inner();
        let found = match &code {
            Some(Code::ReferenceCode(reference)) => {
                in_time(caller_deadline, self.by_reference_code(&account, reference)).await?
            }
            Some(Code::TraceCode(trace)) => {
                in_time(caller_deadline, self.by_trace_code(&account, trace)).await?
            }
            None => {
                let mut violations = Violations::default();
                violations.add("code", "it is empty; give a reference_code or a trace_code");
                return Err(violations.into_status());
            }
        };
        let transaction = Some(convert::transaction(&found));
        Ok(Response::new(v1::GetTransactionResponse { transaction }))
    }

    async fn check_transaction(
        &self,
        request: Request<v1::CheckTransactionRequest>,
    ) -> Result<Response<v1::CheckTransactionResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let request = request.into_inner();
        let named = request::named(&request.account, &request.reference_code)?;
        let checking = async {
            let checked = self.gateway.checks.check_now(&named, caller_deadline).await;
            match checked.map_err(|error| error::of_check(&error))? {
                Some(checked) => Ok(checked),
                None => Err(self.not_found(&named.key).await),
            }
        };
        let checked = in_time(caller_deadline, checking).await?;
        Ok(Response::new(v1::CheckTransactionResponse {
            transaction: Some(convert::transaction(&checked.transaction)),
            checked: checked.was_asked,
        }))
    }

    type WatchTransactionStream = Watched;

    async fn watch_transaction(
        &self,
        request: Request<v1::WatchTransactionRequest>,
    ) -> Result<Response<Watched>, Status> {
        let caller_deadline = deadline(request.metadata());
        let request = request.into_inner();
        let named = request::named(&request.account, &request.reference_code)?;
        let Ok(after) = u64::try_from(request.after_revision) else {
            let mut violations = Violations::about(&request.reference_code);
            violations.add(
                "after_revision",
                "it is negative; give 0 or the last revision seen",
            );
            return Err(violations.into_status());
        };
        let watching = async {
            let key = named.key.clone();
            match self.gateway.ledger.watch(named, after).await {
                Ok(watch) => Ok(watch),
                Err(WatchError::NotFound) => Err(self.not_found(&key).await),
                Err(error) => Err(error::of_watch(&error)),
            }
        };
        let watch = in_time(caller_deadline, watching).await?;
        Ok(Response::new(stream(watch)))
    }

    type WatchTransactionsStream = WatchedAll;

    async fn watch_transactions(
        &self,
        request: Request<v1::WatchTransactionsRequest>,
    ) -> Result<Response<WatchedAll>, Status> {
        let caller_deadline = deadline(request.metadata());
        let (accounts, cursor) = request::watch_all(&self.accounts, &request.into_inner())?;
        let watching = async {
            let watch = self.gateway.ledger.watch_all(accounts, cursor).await;
            watch.map_err(|error| error::of_watch_all(&error))
        };
        let watch = in_time(caller_deadline, watching).await?;
        Ok(Response::new(stream_all(watch, self.converted.clone())))
    }

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> Result<Response<v1::ListTransactionsResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let request = request.into_inner();
        let (query, scope) = request::list(&self.accounts, &request)?;
        let listing = async {
            let page = self.gateway.ledger.list(&query).await;
            page.map_err(|error| error::of_store(&error))
        };
        let page = in_time(caller_deadline, listing).await?;
        let transactions = page.transactions.iter();
        let next = page.next.as_ref();
        Ok(Response::new(v1::ListTransactionsResponse {
            transactions: transactions
                .map(|found| convert::transaction(found))
                .collect(),
            next_page_token: next
                .map(|next| page::token(&scope, next))
                .unwrap_or_default(),
        }))
    }

    async fn resolve_transaction(
        &self,
        request: Request<v1::ResolveTransactionRequest>,
    ) -> Result<Response<v1::ResolveTransactionResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let (named, ruling) = request::resolution(request.into_inner())?;
        let resolving = async {
            match self.gateway.checks.resolve(&named, &ruling).await {
                Ok(resolved) => Ok(resolved),
                Err(ResolveError::NotFound) => Err(self.not_found(&named.key).await),
                Err(error) => Err(error::of_resolve(&error)),
            }
        };
        let resolved = in_time(caller_deadline, resolving).await?;
        info!(key = %named.key, operator = ruling.operator, "a transaction was resolved");
        Ok(Response::new(v1::ResolveTransactionResponse {
            transaction: Some(convert::transaction(&resolved)),
        }))
    }
}

/// The watch as a stream: pulled, never pushed, so a slow watcher holds nothing
/// in memory but what it has not taken.
fn stream(watch: Watch) -> Watched {
    Box::pin(futures::stream::unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(Some(next)) => {
                let transaction = Some(convert::transaction(&next));
                Some((
                    Ok(v1::WatchTransactionResponse { transaction }),
                    Some(watch),
                ))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error::of_watch(&error)), None)),
        }
    }))
}

fn stream_all(watch: WatchAll, converted: Converted) -> WatchedAll {
    Box::pin(futures::stream::unfold(
        Some((watch, converted)),
        |state| async {
            let (mut watch, converted) = state?;
            let told = watch
                .next()
                .await
                .map(|told| v1::WatchTransactionsResponse {
                    transaction: told.transaction.map(|found| converted.of(&found)),
                    cursor: told.cursor,
                });
            match told {
                Ok(told) => Some((Ok(told), Some((watch, converted)))),
                Err(error) => Some((Err(error::of_watch_all(&error)), None)),
            }
        },
    ))
}
