//! `call purchase-prepaid`: buys one prepaid product.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome, gateway_client::GatewayClient, guards::GuardArguments,
    money::parse_rupiah, wait::WaitArguments, watch_transaction::follow,
};
use crate::grpc::v1;

/// One prepaid purchase.
#[derive(Args)]
pub struct PurchasePrepaidArguments {
    /// Identify this purchase by your own unique code: 8 to 64 letters, digits or hyphens.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
    /// Buy this product, by OKEBAYAR's product code.
    #[arg(value_hint = ValueHint::Other)]
    product_code: String,
    /// Deliver to this phone, meter or customer number.
    #[arg(value_hint = ValueHint::Other)]
    account_number: String,
    /// Buy by the inquiry with this code, as inquire-prepaid returned it.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    inquiry_code: String,
    /// Buy only if the last known price is at most this, in rupiah.
    #[arg(long, value_parser = parse_rupiah, value_hint = ValueHint::Other)]
    max_price: Option<v1::Money>,
    #[command(flatten)]
    guards: GuardArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

impl PurchasePrepaidArguments {
    /// Calls `PurchasePrepaid`, prints the response, and watches the transaction if `--watch` is given.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let watch = self.wait.watch;
        let request = client.request(v1::PurchasePrepaidRequest {
            account: client.account(),
            wait_until: self.wait.until(),
            reference_code: self.reference_code,
            product_code: self.product_code,
            account_number: self.account_number,
            inquiry_code: self.inquiry_code,
            expire_time: self.guards.expire_time(),
            max_price: self.max_price,
            labels: self.guards.labels()?,
            validate_only: self.guards.validate_only,
        });
        let answer = client
            .wait(client.transaction_service().purchase_prepaid(request))
            .await?;
        client.printer.print(&answer);
        follow(client, answer.transaction, watch).await
    }
}
