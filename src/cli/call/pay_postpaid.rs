//! `call pay-postpaid`: pays the bill that an inquiry found.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome, gateway_client::GatewayClient, guards::GuardArguments,
    money::parse_rupiah, wait::WaitArguments, watch_transaction::follow,
};
use crate::grpc::v1;

/// The payment of one bill.
#[derive(Args)]
pub struct PayPostpaidArguments {
    /// Identify this payment by your own unique code: 8 to 64 letters, digits or hyphens.
    #[arg(value_hint = ValueHint::Other)]
    reference_code: String,
    /// Pay the bill of the inquiry with this code, as inquire-postpaid returned it.
    #[arg(value_hint = ValueHint::Other)]
    inquiry_code: String,
    /// Pay only if the bill's total is this amount, which the customer was shown, in rupiah.
    #[arg(long, value_parser = parse_rupiah, value_hint = ValueHint::Other)]
    total: v1::Money,
    /// Pay only if the bill is that of this customer's number, as it was inquired.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    account_number: String,
    /// Pay although the payment with this reference code is open for the same bill: you know
    /// that it will not pay the bill. Can be repeated.
    #[arg(
        long = "acknowledge-open",
        value_name = "REFERENCE_CODE",
        value_hint = ValueHint::Other
    )]
    acknowledged_open_reference_codes: Vec<String>,
    #[command(flatten)]
    guards: GuardArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

impl PayPostpaidArguments {
    /// Calls `PayPostpaid`, prints the response, and watches the transaction if `--watch` is given.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let watch = self.wait.watch;
        let request = client.request(v1::PayPostpaidRequest {
            account: client.account(),
            wait_until: self.wait.until(),
            reference_code: self.reference_code,
            inquiry_code: self.inquiry_code,
            total: Some(self.total),
            account_number: self.account_number,
            acknowledged_open_reference_codes: self.acknowledged_open_reference_codes,
            expire_time: self.guards.expire_time(),
            labels: self.guards.labels()?,
            validate_only: self.guards.validate_only,
        });
        let answer = client
            .wait(client.transaction_service().pay_postpaid(request))
            .await?;
        client.printer.print(&answer);
        follow(client, answer.transaction, watch).await
    }
}
