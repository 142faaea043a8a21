//! `call watch-transactions`: prints every change of every transaction.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient, watch_retry::WatchRetry};
use crate::grpc::v1;

/// The beginning of a watch of everything.
#[derive(Args)]
pub struct WatchTransactionsArguments {
    /// Resume after the message with this cursor; without it, begin now.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    cursor: String,
}

impl WatchTransactionsArguments {
    /// Calls `WatchTransactions` and prints each change.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let mut watch = TransactionsWatch {
            request: v1::WatchTransactionsRequest {
                accounts: client.accounts(),
                cursor: self.cursor,
                ..v1::WatchTransactionsRequest::default()
            },
            retry: WatchRetry::none(),
        };
        while let Err(error) = watch.print_updates(client).await {
            watch.retry.pause_after(error).await?;
        }
        Ok(ExitOutcome::Done)
    }
}

/// A watch of every transaction that survives interruptions.
struct TransactionsWatch {
    /// Resumes after the last cursor received.
    request: v1::WatchTransactionsRequest,
    retry: WatchRetry,
}

impl TransactionsWatch {
    /// Prints updates until the gateway ends the watch.
    ///
    /// # Errors
    /// The error that interrupted the watch.
    async fn print_updates(&mut self, client: &GatewayClient) -> Result<(), Status> {
        let opened = client
            .transaction_service()
            .watch_transactions(self.request.clone())
            .await?;
        let mut updates = opened.into_inner();
        while let Some(update) = client.next(&mut updates).await? {
            self.retry = WatchRetry::full();
            self.request.cursor.clone_from(&update.cursor);
            client.printer.print(&update);
        }
        Ok(())
    }
}
