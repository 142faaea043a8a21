//! `call watch-transaction`: prints every change of one transaction.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome,
    gateway_client::GatewayClient,
    watch_retry::{StreamEnd, WatchRetry},
};
use crate::grpc::v1;

/// The transaction to watch.
#[derive(Args)]
pub struct WatchTransactionArguments {
    /// Watch the transaction with this reference code.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
    /// Print the changes after this revision; 0 begins with the current state.
    #[arg(long, default_value_t = 0, value_hint = ValueHint::Other)]
    after_revision: i64,
    /// Watch on at NEEDS_REVIEW, until an operator has resolved the transaction.
    #[arg(long)]
    until_terminal: bool,
}

impl WatchTransactionArguments {
    /// Calls `WatchTransaction` and prints each change.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let watch = TransactionWatch {
            request: v1::WatchTransactionRequest {
                account: client.account(),
                reference_code: self.reference_code,
                after_revision: self.after_revision,
                until_terminal: self.until_terminal,
            },
            outcome: ExitOutcome::Done,
            printed_revision: None,
            retry: WatchRetry::none(),
        };
        watch.run(client).await
    }
}

/// Returns the outcome of a purchase, after watching it to its end if `watch` is set.
pub(super) async fn follow(
    client: &GatewayClient,
    transaction: Option<v1::Transaction>,
    watch: bool,
) -> Result<ExitOutcome, Status> {
    // A request that was only validated has no transaction.
    let Some(transaction) = transaction else {
        return Ok(ExitOutcome::Done);
    };
    let outcome = ExitOutcome::of(&transaction);
    if !watch {
        return Ok(outcome);
    }
    let watch = TransactionWatch {
        request: v1::WatchTransactionRequest {
            account: transaction.account,
            reference_code: transaction.reference_code,
            after_revision: transaction.revision,
            until_terminal: false,
        },
        outcome,
        printed_revision: Some(transaction.revision),
        retry: WatchRetry::full(),
    };
    watch.run(client).await
}

/// A watch of one transaction that survives interruptions and its end by age.
struct TransactionWatch {
    /// Resumes after the last revision received.
    request: v1::WatchTransactionRequest,
    outcome: ExitOutcome,
    /// The last revision printed. A watch that resumes at the end of a transaction receives that
    /// revision once more.
    printed_revision: Option<i64>,
    retry: WatchRetry,
}

impl TransactionWatch {
    async fn run(mut self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        loop {
            match self.print_updates(client).await {
                Ok(StreamEnd::Done) => return Ok(self.outcome),
                Ok(StreamEnd::Expired) => {}
                Err(error) => self.retry.pause_after(error).await?,
            }
        }
    }

    /// Prints updates until the gateway ends the stream.
    ///
    /// # Errors
    /// The error that interrupted the watch.
    async fn print_updates(&mut self, client: &GatewayClient) -> Result<StreamEnd, Status> {
        let opened = client
            .transaction_service()
            .watch_transaction(self.request.clone())
            .await?;
        let mut updates = opened.into_inner();
        while let Some(update) = client.next(&mut updates).await? {
            self.retry = WatchRetry::full();
            // A gateway of an earlier release sends the revision of the transaction only.
            let sent = update.transaction.as_ref().map(|known| known.revision);
            self.request.after_revision = sent.unwrap_or(update.revision);
            if update.stream_expired {
                return Ok(StreamEnd::Expired);
            }
            // A heartbeat has none.
            let Some(transaction) = &update.transaction else {
                continue;
            };
            self.outcome = ExitOutcome::of(transaction);
            let printed = self.printed_revision.replace(transaction.revision);
            if printed != Some(transaction.revision) {
                client.printer.print(&update);
            }
        }
        Ok(StreamEnd::Done)
    }
}
