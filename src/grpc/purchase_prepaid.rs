//! `PurchasePrepaid`: buys one prepaid product.

use tonic::{Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1,
    deadline,
    purchase_call::{CallTerms, PurchaseCall},
    transaction_message,
    value_messages::amount,
    violations::Violations,
};
use crate::transaction::{
    AccountNumber, Amount, BillGuards, Contents, InquiryCode, ProductCode, ReferenceCode,
};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::PurchasePrepaidRequest>,
) -> RpcResult<v1::PurchasePrepaidResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let call = parse(context, request.into_inner())?;
    let (transaction, replayed) = call.execute(context, caller_deadline).await?;
    Ok(Response::new(v1::PurchasePrepaidResponse {
        transaction: transaction.map(|found| transaction_message::build(&found)),
        replayed,
    }))
}

fn parse(
    context: &RpcContext,
    request: v1::PurchasePrepaidRequest,
) -> Result<PurchaseCall, Status> {
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
    let max_price = parse_max_price(request.max_price.as_ref(), &mut violations);
    let terms = CallTerms::parse(
        request.wait_until,
        request.expire_time.as_ref(),
        request.labels,
        request.validate_only,
        &mut violations,
    );
    match (reference, product, number, terms) {
        (Some(reference), Some(product_code), Some(account_number), Some(terms))
            if violations.is_empty() =>
        {
            let contents = Contents::PurchasePrepaid {
                product_code,
                account_number,
                inquiry_code,
            };
            let bill = BillGuards::default();
            let terms = terms.with_max_price(max_price);
            Ok(PurchaseCall::new(
                context, account, reference, contents, bill, terms,
            ))
        }
        _ => Err(violations.into_status()),
    }
}

/// Parses the field `max_price`.
fn parse_max_price(price: Option<&v1::Money>, violations: &mut Violations) -> Option<Amount> {
    let price = amount(price?).and_then(|price| {
        let is_positive = price > Amount::ZERO;
        is_positive
            .then_some(price)
            .ok_or("it is not above zero; give the highest acceptable price, or leave it out")
    });
    violations.required("max_price", price)
}
