//! The connection to a gateway, with the options that every call shares.

use prost::Name;
use std::time::Duration;

use tonic::{Request, Response, Status, Streaming, transport::Channel};

use super::{exit_outcome::ExitOutcome, printer::Printer, progress::with_progress};
use crate::grpc::v1::{
    self, account_service_client::AccountServiceClient,
    inquiry_service_client::InquiryServiceClient, notice_service_client::NoticeServiceClient,
    transaction_service_client::TransactionServiceClient,
};

/// A client of one gateway that prints what it receives.
pub(super) struct GatewayClient {
    pub(super) channel: Channel,
    pub(super) timeout: Option<Duration>,
    pub(super) account: Option<String>,
    pub(super) printer: Printer,
}

impl GatewayClient {
    /// Returns the account of a call about one transaction; empty for the default account.
    pub(super) fn account(&self) -> String {
        self.account.clone().unwrap_or_default()
    }

    /// Returns the accounts of a list or watch; none for all accounts.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.account.iter().cloned().collect()
    }

    /// Returns a client of `TransactionService` on the channel.
    pub(super) fn transaction_service(&self) -> TransactionServiceClient<Channel> {
        TransactionServiceClient::new(self.channel.clone())
    }

    /// Returns a client of `InquiryService` on the channel.
    pub(super) fn inquiry_service(&self) -> InquiryServiceClient<Channel> {
        InquiryServiceClient::new(self.channel.clone())
    }

    /// Returns a client of `AccountService` on the channel.
    pub(super) fn account_service(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    /// Returns a client of `NoticeService` on the channel.
    pub(super) fn notice_service(&self) -> NoticeServiceClient<Channel> {
        NoticeServiceClient::new(self.channel.clone())
    }

    /// Builds a request with the time-out of the command line.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    /// Waits for the answer to a call, with progress on a terminal.
    pub(super) async fn wait<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answer = with_progress("waiting for the gateway", call).await;
        answer.map(Response::into_inner)
    }

    /// Waits for the next update of a watch, with progress on a terminal.
    pub(super) async fn next<T>(&self, updates: &mut Streaming<T>) -> Result<Option<T>, Status> {
        let next = updates.message();
        with_progress("watching", next).await
    }

    /// Makes a call that is not about one transaction, and prints the answer.
    pub(super) async fn show<T: Name>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<ExitOutcome, Status> {
        let answer = self.wait(call).await?;
        Ok(self.print(&answer, None))
    }

    /// Prints an answer, and returns the outcome of the transaction in it.
    pub(super) fn print(
        &self,
        answer: &impl Name,
        transaction: Option<&v1::Transaction>,
    ) -> ExitOutcome {
        self.printer.print(answer);
        transaction.map_or(ExitOutcome::Done, ExitOutcome::of)
    }
}
