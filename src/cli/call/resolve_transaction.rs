//! `call resolve-transaction`: records an operator's resolution of a transaction.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome, gateway_client::GatewayClient, serial_number::read_serial_number,
};
use crate::grpc::v1;

/// An operator's resolution of one transaction.
#[derive(Args)]
pub struct ResolveTransactionArguments {
    /// Resolve the transaction with this reference code.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
    /// Resolve the transaction only if this, which you saw, is its latest revision.
    #[arg(long, value_hint = ValueHint::Other)]
    revision: i64,
    /// Record this outcome.
    #[arg(long)]
    resolution: ResolutionName,
    /// Record your name: 1 to 128 characters.
    #[arg(long, value_hint = ValueHint::Other)]
    operator: String,
    /// Record your evidence, such as a ticket of OKEBAYAR's customer service: 1 to 1024
    /// characters.
    #[arg(long, value_hint = ValueHint::Other)]
    note: String,
    /// Read the serial number that OKEBAYAR gave you from this file of one line; `-` reads
    /// standard input. The serial number is never an argument: a token is money, and arguments
    /// appear in the history of the shell and in the list of processes.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    serial_number_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ResolutionName {
    /// The money is spent, and the product is delivered.
    Succeeded,
    /// No money was spent.
    Failed,
    /// It had succeeded and was reversed; the money is returned.
    Reversed,
}

impl From<ResolutionName> for i32 {
    fn from(resolution: ResolutionName) -> Self {
        let resolution = match resolution {
            ResolutionName::Succeeded => v1::TransactionResolution::Succeeded,
            ResolutionName::Failed => v1::TransactionResolution::Failed,
            ResolutionName::Reversed => v1::TransactionResolution::Reversed,
        };
        resolution.into()
    }
}

impl ResolveTransactionArguments {
    /// Calls `ResolveTransaction` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let message = match self.message(client.account()) {
            Ok(message) => message,
            Err(problem) => {
                client.printer.problem(&problem);
                return Ok(ExitOutcome::Refused);
            }
        };
        let request = client.request(message);
        let answer = client
            .wait(client.transaction_service().resolve_transaction(request))
            .await?;
        Ok(client.print(&answer, answer.transaction.as_ref()))
    }

    /// Builds the request, with the serial number from its file.
    ///
    /// # Errors
    /// When the file of the serial number cannot be read.
    fn message(self, account: String) -> Result<v1::ResolveTransactionRequest, String> {
        let serial_number = match &self.serial_number_file {
            Some(file) => read_serial_number(file)?,
            None => String::new(),
        };
        Ok(v1::ResolveTransactionRequest {
            account,
            reference_code: self.reference_code,
            revision: self.revision,
            resolution: self.resolution.into(),
            operator: self.operator,
            note: self.note,
            serial_number,
        })
    }
}
