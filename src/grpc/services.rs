//! The generated service traits. Every method forwards to the file of its RPC.

use tonic::Request;

use super::{
    check_transaction,
    context::{RpcContext, RpcResult},
    contract::v1::{
        self, account_service_server::AccountService, inquiry_service_server::InquiryService,
        notice_service_server::NoticeService, transaction_service_server::TransactionService,
    },
    echo, get_balance, get_inquiry, get_transaction, inquire_postpaid, inquire_prepaid,
    list_notices, list_orphan_callbacks, list_transactions, pay_postpaid, purchase_prepaid,
    resolve_transaction, watch_transaction, watch_transactions,
};
use crate::gateway::Gateway;

/// The handlers of all four services of the contract.
#[derive(Clone)]
pub struct GrpcServices(RpcContext);

impl GrpcServices {
    /// Creates the services over a gateway.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self(RpcContext::new(gateway))
    }
}

#[tonic::async_trait]
impl TransactionService for GrpcServices {
    async fn purchase_prepaid(
        &self,
        request: Request<v1::PurchasePrepaidRequest>,
    ) -> RpcResult<v1::PurchasePrepaidResponse> {
        purchase_prepaid::handle(&self.0, request).await
    }

    async fn pay_postpaid(
        &self,
        request: Request<v1::PayPostpaidRequest>,
    ) -> RpcResult<v1::PayPostpaidResponse> {
        pay_postpaid::handle(&self.0, request).await
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> RpcResult<v1::GetTransactionResponse> {
        get_transaction::handle(&self.0, request).await
    }

    async fn check_transaction(
        &self,
        request: Request<v1::CheckTransactionRequest>,
    ) -> RpcResult<v1::CheckTransactionResponse> {
        check_transaction::handle(&self.0, request).await
    }

    type WatchTransactionStream = watch_transaction::WatchTransactionStream;

    async fn watch_transaction(
        &self,
        request: Request<v1::WatchTransactionRequest>,
    ) -> RpcResult<watch_transaction::WatchTransactionStream> {
        watch_transaction::handle(&self.0, request).await
    }

    type WatchTransactionsStream = watch_transactions::WatchTransactionsStream;

    async fn watch_transactions(
        &self,
        request: Request<v1::WatchTransactionsRequest>,
    ) -> RpcResult<watch_transactions::WatchTransactionsStream> {
        watch_transactions::handle(&self.0, request).await
    }

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> RpcResult<v1::ListTransactionsResponse> {
        list_transactions::handle(&self.0, request).await
    }

    async fn resolve_transaction(
        &self,
        request: Request<v1::ResolveTransactionRequest>,
    ) -> RpcResult<v1::ResolveTransactionResponse> {
        resolve_transaction::handle(&self.0, request).await
    }
}

#[tonic::async_trait]
impl InquiryService for GrpcServices {
    async fn inquire_prepaid(
        &self,
        request: Request<v1::InquirePrepaidRequest>,
    ) -> RpcResult<v1::InquirePrepaidResponse> {
        inquire_prepaid::handle(&self.0, request).await
    }

    async fn inquire_postpaid(
        &self,
        request: Request<v1::InquirePostpaidRequest>,
    ) -> RpcResult<v1::InquirePostpaidResponse> {
        inquire_postpaid::handle(&self.0, request).await
    }

    async fn get_inquiry(
        &self,
        request: Request<v1::GetInquiryRequest>,
    ) -> RpcResult<v1::GetInquiryResponse> {
        get_inquiry::handle(&self.0, request).await
    }
}

#[tonic::async_trait]
impl AccountService for GrpcServices {
    async fn get_balance(
        &self,
        request: Request<v1::GetBalanceRequest>,
    ) -> RpcResult<v1::GetBalanceResponse> {
        get_balance::handle(&self.0, request).await
    }

    async fn echo(&self, request: Request<v1::EchoRequest>) -> RpcResult<v1::EchoResponse> {
        echo::handle(&self.0, request).await
    }
}

#[tonic::async_trait]
impl NoticeService for GrpcServices {
    async fn list_notices(
        &self,
        request: Request<v1::ListNoticesRequest>,
    ) -> RpcResult<v1::ListNoticesResponse> {
        list_notices::handle(&self.0, request).await
    }

    async fn list_orphan_callbacks(
        &self,
        request: Request<v1::ListOrphanCallbacksRequest>,
    ) -> RpcResult<v1::ListOrphanCallbacksResponse> {
        list_orphan_callbacks::handle(&self.0, request).await
    }
}
