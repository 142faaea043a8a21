//! `call list-notices`: lists the texts that OKEBAYAR sent to the partner.

use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient, page::PageArguments};
use crate::grpc::v1;

/// Calls `ListNotices` and prints the answer.
pub(super) async fn run(
    page: PageArguments,
    client: &GatewayClient,
) -> Result<ExitOutcome, Status> {
    let request = client.request(v1::ListNoticesRequest {
        accounts: client.accounts(),
        page_size: page.page_size,
        page_token: page.page_token,
    });
    client
        .show(client.notice_service().list_notices(request))
        .await
}
