//! `call get-balance`: reads the balance of the deposit.

use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1;

/// Calls `GetBalance` and prints the answer.
pub(super) async fn run(client: &GatewayClient) -> Result<ExitOutcome, Status> {
    let request = client.request(v1::GetBalanceRequest {
        account: client.account(),
    });
    client
        .show(client.account_service().get_balance(request))
        .await
}
