//! `call list-orphan-callbacks`: lists callbacks about unknown reference codes.

use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient, page::PageArguments};
use crate::grpc::v1;

/// Calls `ListOrphanCallbacks` and prints the answer.
pub(super) async fn run(
    page: PageArguments,
    client: &GatewayClient,
) -> Result<ExitOutcome, Status> {
    let request = client.request(v1::ListOrphanCallbacksRequest {
        accounts: client.accounts(),
        page_size: page.page_size,
        page_token: page.page_token,
    });
    client
        .show(client.notice_service().list_orphan_callbacks(request))
        .await
}
