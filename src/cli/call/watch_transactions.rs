//! `call watch-transactions`: prints every change of every transaction.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome,
    gateway_client::GatewayClient,
    label::LabelArguments,
    watch_retry::{StreamEnd, WatchRetry},
};
use crate::grpc::v1;

/// The beginning of a watch of everything.
#[derive(Args)]
pub struct WatchTransactionsArguments {
    /// Resume after the message with this cursor; without it, begin now.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    cursor: String,
    #[command(flatten)]
    labels: LabelArguments,
}

impl WatchTransactionsArguments {
    /// Calls `WatchTransactions` and prints each change.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let mut watch = TransactionsWatch {
            request: v1::WatchTransactionsRequest {
                accounts: client.accounts(),
                cursor: self.cursor,
                labels: self.labels.by_key()?,
            },
            retry: WatchRetry::none(),
        };
        loop {
            match watch.print_updates(client).await {
                Ok(StreamEnd::Done) => return Ok(ExitOutcome::Done),
                Ok(StreamEnd::Expired) => {}
                Err(error) => watch.retry.pause_after(error).await?,
            }
        }
    }
}

/// A watch of every transaction that survives interruptions and its end by age.
struct TransactionsWatch {
    /// Resumes after the last cursor received.
    request: v1::WatchTransactionsRequest,
    retry: WatchRetry,
}

impl TransactionsWatch {
    /// Prints updates until the gateway ends the stream. The first cursor is printed too, but no
    /// heartbeat.
    ///
    /// # Errors
    /// The error that interrupted the watch.
    async fn print_updates(&mut self, client: &GatewayClient) -> Result<StreamEnd, Status> {
        let opened = client
            .transaction_service()
            .watch_transactions(self.request.clone())
            .await?;
        let mut updates = opened.into_inner();
        while let Some(update) = client.next(&mut updates).await? {
            self.retry = WatchRetry::full();
            let is_first = self.request.cursor.is_empty();
            self.request.cursor.clone_from(&update.cursor);
            if update.stream_expired {
                return Ok(StreamEnd::Expired);
            }
            if is_first || update.transaction.is_some() {
                client.printer.print(&update);
            }
        }
        Ok(StreamEnd::Done)
    }
}
