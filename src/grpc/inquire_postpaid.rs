//! `InquirePostpaid`: inquires about a bill.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1::{self, inquire_postpaid_request::Customer as CustomerMessage},
    inquiry_message, query_errors,
    violations::Violations,
};
use crate::{
    purchase::Sent,
    queries::{Customer, Question},
    transaction::{AccountName, AccountNumber, ProductCode, Verbatim},
};

const TEXT_BYTES_MAX: usize = 64;
const MONTHS_MAX: u8 = 12;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::InquirePostpaidRequest>,
) -> RpcResult<v1::InquirePostpaidResponse> {
    let (account, question) = parse(context, request.into_inner())?;
    let found = context
        .gateway
        .queries
        .inquire_postpaid(&account, &question);
    let found = found
        .await
        .map_err(|error| query_errors::to_status(&error, Sent::No))?;
    let inquiry = Some(inquiry_message::build(found));
    Ok(Response::new(v1::InquirePostpaidResponse { inquiry }))
}

fn parse(
    context: &RpcContext,
    request: v1::InquirePostpaidRequest,
) -> Result<(AccountName, Question), Status> {
    let mut violations = Violations::default();
    let account = account_field::configured(context, &request.account, &mut violations);
    let product = violations.required("product_code", ProductCode::parse(request.product_code));
    let customer = parse_customer(request.customer, &mut violations);
    if request.contact_number.is_empty() {
        violations.add(
            "contact_number",
            "it is empty; give the payer's phone number or e-mail address",
        );
    }
    let contact = parse_text("contact_number", request.contact_number, &mut violations);
    let ref1 = parse_text("ref1", request.ref1, &mut violations);
    match (account, product, customer, contact, ref1) {
        (Some(account), Some(product_code), Some(customer), Some(contact_number), Some(ref1))
            if violations.is_empty() =>
        {
            let question = Question {
                product_code,
                customer,
                contact_number: Verbatim::new(contact_number),
                ref1: Some(ref1)
                    .filter(|ref1| !ref1.is_empty())
                    .map(Verbatim::new),
            };
            Ok((account, question))
        }
        _ => Err(violations.into_status()),
    }
}

fn parse_customer(
    customer: Option<CustomerMessage>,
    violations: &mut Violations,
) -> Option<Customer> {
    let mut number = |field, text| violations.required(field, AccountNumber::parse(text));
    match customer {
        Some(CustomerMessage::AccountNumber(text)) => {
            Some(Customer::Plain(number("account_number", text)?))
        }
        Some(CustomerMessage::Pstn(pstn)) => {
            let area_code = number("pstn.area_code", pstn.area_code);
            let line = number("pstn.number", pstn.number);
            Some(Customer::Pstn {
                area_code: area_code?,
                number: line?,
            })
        }
        Some(CustomerMessage::Bpjs(bpjs)) => {
            let member = number("bpjs.member_number", bpjs.member_number);
            let payer_phone = number("bpjs.payer_phone", bpjs.payer_phone);
            let months = u8::try_from(bpjs.months)
                .ok()
                .filter(|months| (1..=MONTHS_MAX).contains(months));
            if months.is_none() {
                let problem = format!("it is {}; give 1 to {MONTHS_MAX}", bpjs.months);
                violations.add("bpjs.months", problem);
            }
            Some(Customer::Bpjs {
                member: member?,
                months: months?,
                payer_phone: payer_phone?,
            })
        }
        None => {
            violations.add(
                "customer",
                "it is missing; give account_number, pstn or bpjs",
            );
            None
        }
    }
}

/// Returns a text of up to 64 printable ASCII characters without spaces.
fn parse_text(field: &str, text: String, violations: &mut Violations) -> Option<String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.len() <= TEXT_BYTES_MAX && is_plain {
        return Some(text);
    }
    let problem = format!(
        "it is too long, or not printable ASCII without spaces; give at most {TEXT_BYTES_MAX} such \
         characters"
    );
    violations.add(field, problem);
    None
}
