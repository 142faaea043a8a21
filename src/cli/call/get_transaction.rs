//! `call get-transaction`: reads one transaction.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1::{self, get_transaction_request::Code};

/// The transaction to read, by one of its codes.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct GetTransactionArguments {
    /// Read the transaction with this reference code.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: Option<String>,
    /// Read the transaction with this trace code of OKEBAYAR's instead.
    #[arg(long, value_hint = ValueHint::Other)]
    trace_code: Option<String>,
}

impl GetTransactionArguments {
    /// Calls `GetTransaction` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let code = self.reference_code.map(Code::ReferenceCode);
        let request = client.request(v1::GetTransactionRequest {
            account: client.account(),
            code: code.or(self.trace_code.map(Code::TraceCode)),
        });
        let answer = client
            .wait(client.transaction_service().get_transaction(request))
            .await?;
        Ok(client.print(&answer, answer.transaction.as_ref()))
    }
}
