//! `call echo`: tests the whole path to OKEBAYAR and back.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1;

/// The text of an echo.
#[derive(Args)]
pub struct EchoArguments {
    /// Send this text; OKEBAYAR returns it.
    #[arg(value_hint = ValueHint::Other)]
    message: String,
}

impl EchoArguments {
    /// Calls `Echo` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let request = client.request(v1::EchoRequest {
            account: client.account(),
            message: self.message,
        });
        client.show(client.account_service().echo(request)).await
    }
}
