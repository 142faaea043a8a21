//! `TransactionService`.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use tracing::info;

use super::{
    accounts::Accounts,
    convert,
    error::{self, Violations},
    v1::{self, transaction_service_server::TransactionService},
};
use crate::{
    engine::{Engine, Wait, WaitUntil, Watch},
    transaction::{
        AccountNumber, Contents, Intent, Operation, ProductCode, ReferenceCode, TraceCode,
        TransactionKey,
    },
};

/// Serves `TransactionService` over the engine.
pub struct Transactions {
    accounts: Accounts,
    engine: Arc<Engine>,
}

impl Transactions {
    /// The service, for the transactions of these accounts.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        let engine = Arc::clone(&accounts.engine);
        Self { accounts, engine }
    }

    fn key(&self, account: &str, reference_code: &str) -> Result<TransactionKey, Status> {
        let mut violations = Violations::default();
        let account = self.accounts.find(account, &mut violations);
        let reference = violations.keep("reference_code", ReferenceCode::parse(reference_code));
        match (account, reference) {
            (Some(account), Some(reference)) => Ok(TransactionKey::new(account, &reference)),
            _ => Err(violations.into_status()),
        }
    }

    fn intent(&self, request: v1::PurchasePrepaidRequest) -> Result<(Intent, WaitUntil), Status> {
        let mut violations = Violations::default();
        let account = self.accounts.find(&request.account, &mut violations);
        let reference = violations.keep(
            "reference_code",
            ReferenceCode::parse(request.reference_code),
        );
        let product = violations.keep("product_code", ProductCode::parse(request.product_code));
        let number = violations.keep(
            "account_number",
            AccountNumber::parse(request.account_number),
        );
        let until = match v1::WaitUntil::try_from(request.wait_until) {
            Ok(v1::WaitUntil::Unspecified | v1::WaitUntil::Answered) => Some(WaitUntil::Answered),
            Ok(v1::WaitUntil::Final) => Some(WaitUntil::Final),
            Err(_) => {
                violations.add(
                    "wait_until",
                    "there is no such value; give ANSWERED or FINAL",
                );
                None
            }
        };
        match (account, reference, product, number, until) {
            (
                Some(account),
                Some(reference_code),
                Some(product_code),
                Some(account_number),
                Some(until),
            ) => {
                let operation = Operation::PurchasePrepaid;
                let contents = Contents {
                    operation,
                    product_code,
                    account_number,
                };
                Ok((
                    Intent {
                        account,
                        reference_code,
                        contents,
                    },
                    until,
                ))
            }
            _ => Err(violations.into_status()),
        }
    }
}

type Watched = Pin<Box<dyn Stream<Item = Result<v1::WatchTransactionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransactionService for Transactions {
    async fn purchase_prepaid(
        &self,
        request: Request<v1::PurchasePrepaidRequest>,
    ) -> Result<Response<v1::PurchasePrepaidResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let (intent, until) = self.intent(request.into_inner())?;
        let reference_code = intent.reference_code.clone();
        let wait = Wait {
            until,
            caller_deadline,
        };
        let purchase = self.engine.purchase(intent, wait).await.map_err(|error| {
            info!(%reference_code, %error, "a purchase was refused");
            error::of_purchase(&error)
        })?;
        Ok(Response::new(v1::PurchasePrepaidResponse {
            transaction: Some(convert::transaction(&purchase.transaction)),
            replayed: purchase.replayed,
        }))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        use v1::get_transaction_request::Code;
        let request = request.into_inner();
        let found = match request.code {
            Some(Code::ReferenceCode(reference)) => {
                self.engine
                    .load(&self.key(&request.account, &reference)?)
                    .await
            }
            Some(Code::TraceCode(trace)) => {
                let mut violations = Violations::default();
                let account = self.accounts.find(&request.account, &mut violations);
                let trace = violations.keep("trace_code", TraceCode::parse(trace));
                let (Some(account), Some(trace)) = (account, trace) else {
                    return Err(violations.into_status());
                };
                self.engine.load_by_trace(&account, &trace).await
            }
            None => {
                let mut violations = Violations::default();
                violations.add("code", "it is empty; give a reference_code or a trace_code");
                return Err(violations.into_status());
            }
        };
        let found = found
            .map_err(|error| error::of_store(&error))?
            .ok_or_else(error::not_found)?;
        let transaction = Some(convert::transaction(&found));
        Ok(Response::new(v1::GetTransactionResponse { transaction }))
    }

    async fn check_transaction(
        &self,
        request: Request<v1::CheckTransactionRequest>,
    ) -> Result<Response<v1::CheckTransactionResponse>, Status> {
        let caller_deadline = deadline(request.metadata());
        let request = request.into_inner();
        let key = self.key(&request.account, &request.reference_code)?;
        let checked = self.engine.check_now(&key, caller_deadline).await;
        let checked = checked
            .map_err(|error| error::of_store(&error))?
            .ok_or_else(error::not_found)?;
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
        let request = request.into_inner();
        let key = self.key(&request.account, &request.reference_code)?;
        let Ok(after) = u64::try_from(request.after_revision) else {
            let mut violations = Violations::default();
            violations.add(
                "after_revision",
                "it is negative; give 0 or the last revision seen",
            );
            return Err(violations.into_status());
        };
        let watch = self
            .engine
            .watch(key, after)
            .await
            .map_err(|error| error::of_watch(&error))?;
        Ok(Response::new(stream(watch)))
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

/// The caller's deadline, from the `grpc-timeout` header: up to 8 digits and a
/// unit (gRPC over HTTP/2, "Timeout").
fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    let left = match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Instant::now().checked_add(left)
}
