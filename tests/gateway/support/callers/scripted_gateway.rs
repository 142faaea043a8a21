//! A gateway that answers as a test scripts it: an earlier release, a proxy that breaks streams, or an
//! outcome that a real gateway reaches too rarely.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures::{Stream, StreamExt, stream};
use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, CheckTransactionResponse, GetTransactionRequest,
    GetTransactionResponse, ListTransactionsRequest, ListTransactionsResponse, PayPostpaidRequest,
    PayPostpaidResponse, PurchasePrepaidRequest, PurchasePrepaidResponse,
    ResolveTransactionRequest, ResolveTransactionResponse, Transaction, WatchTransactionRequest,
    WatchTransactionResponse, WatchTransactionsRequest, WatchTransactionsResponse,
    transaction_service_server::{TransactionService, TransactionServiceServer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// One expected call of a watching caller, and its answer.
pub enum Step {
    /// A listing with this page token.
    List(&'static str, Result<ListTransactionsResponse, Status>),
    /// A watch from this cursor. It ends after its responses, but that of the last step stays open.
    Watch(&'static str, Vec<Result<WatchTransactionsResponse, Status>>),
}

/// The answers. A call that is not scripted fails for good.
#[derive(Default)]
pub struct Script {
    /// The transaction that every purchase returns.
    pub purchased: Transaction,
    /// The transaction that the watch of the purchase reports.
    pub changed: Transaction,
    /// The calls of a watching caller, in order.
    pub steps: VecDeque<Step>,
}

#[derive(Clone)]
struct ScriptedGateway(Arc<Mutex<Script>>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unscripted() -> Status {
    Status::permission_denied("this call is not in the script")
}

/// Starts a gateway with this script, and returns its address.
pub async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let gateway = ScriptedGateway(Arc::new(Mutex::new(script)));
    let server = Server::builder().add_service(TransactionServiceServer::new(gateway));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

#[tonic::async_trait]
impl TransactionService for ScriptedGateway {
    type WatchTransactionStream = Answers<WatchTransactionResponse>;
    type WatchTransactionsStream = Answers<WatchTransactionsResponse>;

    async fn purchase_prepaid(
        &self,
        _: Request<PurchasePrepaidRequest>,
    ) -> Result<Response<PurchasePrepaidResponse>, Status> {
        Ok(Response::new(PurchasePrepaidResponse {
            transaction: Some(self.0.lock().unwrap().purchased.clone()),
            ..PurchasePrepaidResponse::default()
        }))
    }

    async fn watch_transaction(
        &self,
        _: Request<WatchTransactionRequest>,
    ) -> Result<Response<Self::WatchTransactionStream>, Status> {
        let transaction = self.0.lock().unwrap().changed.clone();
        let change = WatchTransactionResponse {
            revision: transaction.revision,
            transaction: Some(transaction),
            ..WatchTransactionResponse::default()
        };
        Ok(Response::new(stream::iter([Ok(change)]).boxed()))
    }

    async fn list_transactions(
        &self,
        request: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        let step = self.0.lock().unwrap().steps.pop_front();
        match step {
            Some(Step::List(token, page)) if token == request.get_ref().page_token => {
                page.map(Response::new)
            }
            _ => Err(unscripted()),
        }
    }

    async fn watch_transactions(
        &self,
        request: Request<WatchTransactionsRequest>,
    ) -> Result<Response<Self::WatchTransactionsStream>, Status> {
        let mut script = self.0.lock().unwrap();
        let step = script.steps.pop_front();
        let Some(Step::Watch(cursor, responses)) = step else {
            return Err(unscripted());
        };
        if cursor != request.get_ref().cursor {
            return Err(unscripted());
        }
        let responses = stream::iter(responses);
        Ok(Response::new(if script.steps.is_empty() {
            responses.chain(stream::pending()).boxed()
        } else {
            responses.boxed()
        }))
    }

    async fn pay_postpaid(
        &self,
        _: Request<PayPostpaidRequest>,
    ) -> Result<Response<PayPostpaidResponse>, Status> {
        Err(unscripted())
    }

    async fn get_transaction(
        &self,
        _: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        Err(unscripted())
    }

    async fn check_transaction(
        &self,
        _: Request<CheckTransactionRequest>,
    ) -> Result<Response<CheckTransactionResponse>, Status> {
        Err(unscripted())
    }

    async fn resolve_transaction(
        &self,
        _: Request<ResolveTransactionRequest>,
    ) -> Result<Response<ResolveTransactionResponse>, Status> {
        Err(unscripted())
    }
}
