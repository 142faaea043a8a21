//! `call inquire-postpaid`: inquires about a bill.

use clap::{Args, ValueHint};
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient};
use crate::grpc::v1::{self, inquire_postpaid_request::Customer};

/// The bill of one customer.
#[derive(Args)]
pub struct InquirePostpaidArguments {
    /// Inquire about this product, by OKEBAYAR's product code.
    #[arg(value_hint = ValueHint::Other)]
    product_code: String,
    #[command(flatten)]
    customer: CustomerArguments,
    /// Inquire about this many months of a BPJS member, 1 to 12.
    #[arg(long, requires = "bpjs", default_value_t = 1, value_hint = ValueHint::Other)]
    months: i32,
    /// Pass on this phone number of the payer of a BPJS member.
    #[arg(long, requires = "bpjs", default_value = "", value_hint = ValueHint::Other)]
    payer_phone: String,
    /// Pass on this phone number or e-mail address of the payer.
    #[arg(long, value_hint = ValueHint::Other)]
    contact_number: String,
    /// Pass on this reference, which some products require.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    ref1: String,
}

/// The customer of a bill, by one kind of number.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct CustomerArguments {
    /// Inquire about the customer with this number.
    #[arg(value_hint = ValueHint::Other)]
    account_number: Option<String>,
    /// Inquire about the fixed telephone line with this area code and number instead.
    #[arg(
        long,
        num_args = 2,
        value_names = ["AREA_CODE", "NUMBER"],
        value_hint = ValueHint::Other
    )]
    pstn: Option<Vec<String>>,
    /// Inquire about the BPJS member with this number instead.
    #[arg(long, value_name = "MEMBER_NUMBER", value_hint = ValueHint::Other)]
    bpjs: Option<String>,
}

impl InquirePostpaidArguments {
    /// Calls `InquirePostpaid` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let request = client.request(self.message(client.account()));
        client
            .show(client.inquiry_service().inquire_postpaid(request))
            .await
    }

    fn message(self, account: String) -> v1::InquirePostpaidRequest {
        let CustomerArguments {
            account_number,
            pstn,
            bpjs,
        } = self.customer;
        let pstn = pstn.map(|parts| {
            let mut parts = parts.into_iter();
            Customer::Pstn(v1::PstnCustomer {
                area_code: parts.next().unwrap_or_default(),
                number: parts.next().unwrap_or_default(),
            })
        });
        let bpjs = bpjs.map(|member_number| {
            Customer::Bpjs(v1::BpjsCustomer {
                member_number,
                months: self.months,
                payer_phone: self.payer_phone,
            })
        });
        v1::InquirePostpaidRequest {
            account,
            product_code: self.product_code,
            customer: account_number
                .map(Customer::AccountNumber)
                .or(pstn)
                .or(bpjs),
            contact_number: self.contact_number,
            ref1: self.ref1,
        }
    }
}
