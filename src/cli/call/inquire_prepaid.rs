//! `call inquire-prepaid`: inquires before a prepaid purchase.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1;

/// The product and recipient of a later purchase.
#[derive(Args)]
pub struct InquirePrepaidArguments {
    /// Inquire about this product, by OKEBAYAR's product code.
    #[arg(value_hint = ValueHint::Other)]
    product_code: String,
    /// Inquire about delivery to this phone, meter or customer number.
    #[arg(value_hint = ValueHint::Other)]
    account_number: String,
    /// Inquire under this reference code, which the purchase will use.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    reference_code: String,
}

impl InquirePrepaidArguments {
    /// Calls `InquirePrepaid` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let request = client.request(v1::InquirePrepaidRequest {
            account: client.account(),
            reference_code: self.reference_code,
            product_code: self.product_code,
            account_number: self.account_number,
        });
        client
            .show(client.inquiry_service().inquire_prepaid(request))
            .await
    }
}
