//! `PurchasePrepaid`: buys one prepaid product.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline, purchase_call, transaction_message,
    violations::Violations,
};
use crate::{
    ledger::WaitUntil,
    transaction::{
        AccountNumber, BillGuards, Contents, InquiryCode, Intent, ProductCode, ReferenceCode,
    },
};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::PurchasePrepaidRequest>,
) -> RpcResult<v1::PurchasePrepaidResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let (intent, until) = parse(context, request.into_inner())?;
    let purchase = purchase_call::execute(context, intent, until, caller_deadline).await?;
    Ok(Response::new(v1::PurchasePrepaidResponse {
        transaction: Some(transaction_message::build(&purchase.transaction)),
        replayed: purchase.replayed,
    }))
}

fn parse(
    context: &RpcContext,
    request: v1::PurchasePrepaidRequest,
) -> Result<(Intent, WaitUntil), Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = account_field::optional(&request.account, &mut violations);
    let reference = violations.required(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let product = violations.required("product_code", ProductCode::parse(request.product_code));
    let number = violations.required(
        "account_number",
        AccountNumber::parse(request.account_number),
    );
    let inquiry_code = violations.optional("inquiry_code", &request.inquiry_code, |code| {
        InquiryCode::parse(code)
    });
    let until = purchase_call::parse_wait_until(request.wait_until, &mut violations);
    match (reference, product, number, until) {
        (Some(reference), Some(product_code), Some(account_number), Some(until))
            if violations.is_empty() =>
        {
            let contents = Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code,
            };
            let bill = BillGuards::default();
            let intent = purchase_call::intent(context, account, reference, contents, bill);
            Ok((intent, until))
        }
        _ => Err(violations.into_status()),
    }
}
