//! `call get-inquiry`: reads the stored inquiries with one code.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1;

/// The inquiry to read.
#[derive(Args)]
pub struct GetInquiryArguments {
    /// Read the inquiries with this code, as inquire-prepaid or inquire-postpaid returned it.
    #[arg(value_hint = ValueHint::Other)]
    inquiry_code: String,
}

impl GetInquiryArguments {
    /// Calls `GetInquiry` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let request = client.request(v1::GetInquiryRequest {
            account: client.account(),
            inquiry_code: self.inquiry_code,
        });
        client
            .show(client.inquiry_service().get_inquiry(request))
            .await
    }
}
