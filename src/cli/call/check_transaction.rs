//! `call check-transaction`: makes a status check of one transaction now.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1;

/// The transaction to check.
#[derive(Args)]
pub struct CheckTransactionArguments {
    /// Check the transaction with this reference code.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
}

impl CheckTransactionArguments {
    /// Calls `CheckTransaction` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let request = client.request(v1::CheckTransactionRequest {
            account: client.account(),
            reference_code: self.reference_code,
        });
        let answer = client
            .wait(client.transaction_service().check_transaction(request))
            .await?;
        Ok(client.print(&answer, answer.transaction.as_ref()))
    }
}
