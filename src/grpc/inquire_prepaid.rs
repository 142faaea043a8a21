//! `InquirePrepaid`: inquires about a customer before a prepaid purchase.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    inquiry_message, query_errors,
    violations::Violations,
};
use crate::{
    purchase::Sent,
    transaction::{AccountName, AccountNumber, ProductCode, ReferenceCode},
};

/// A valid request.
struct InquirePrepaid {
    account: AccountName,
    reference_code: Option<ReferenceCode>,
    product_code: ProductCode,
    account_number: AccountNumber,
}

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::InquirePrepaidRequest>,
) -> RpcResult<v1::InquirePrepaidResponse> {
    let inquiry = parse(context, request.into_inner())?;
    // An earlier purchase may have used the reference code.
    let sent = match inquiry.reference_code {
        Some(_) => Sent::Maybe,
        None => Sent::No,
    };
    let found = context.gateway.queries.inquire_prepaid(
        &inquiry.account,
        inquiry.reference_code,
        &inquiry.product_code,
        &inquiry.account_number,
    );
    let found = found
        .await
        .map_err(|error| query_errors::to_status(&error, sent))?;
    let inquiry = Some(inquiry_message::build(found));
    Ok(Response::new(v1::InquirePrepaidResponse { inquiry }))
}

fn parse(
    context: &RpcContext,
    request: v1::InquirePrepaidRequest,
) -> Result<InquirePrepaid, Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = account_field::configured(context, &request.account, &mut violations);
    let reference_code = violations.optional("reference_code", &request.reference_code, |code| {
        ReferenceCode::parse(code)
    });
    let product = violations.required("product_code", ProductCode::parse(request.product_code));
    let number = violations.required(
        "account_number",
        AccountNumber::parse(request.account_number),
    );
    match (account, product, number) {
        (Some(account), Some(product_code), Some(account_number)) if violations.is_empty() => {
            Ok(InquirePrepaid {
                account,
                reference_code,
                product_code,
                account_number,
            })
        }
        _ => Err(violations.into_status()),
    }
}
