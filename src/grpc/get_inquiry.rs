//! `GetInquiry`: reads inquiries from the store.

use tonic::{Code, Request, Response, Status};

use super::{
    account_field,
    context::{RpcContext, RpcResult},
    contract::v1::{self, ErrorReason},
    deadline,
    status::status,
    store_errors, transaction_message,
    value_messages::{text_or_empty, timestamp},
    violations::Violations,
};
use crate::{
    purchase::Sent,
    queries::HeldInquiry,
    transaction::{AccountName, InquiryCode, Operation},
};

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::GetInquiryRequest>,
) -> RpcResult<v1::GetInquiryResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let (account, code) = parse(&request.into_inner())?;
    let loading = async {
        let queries = &context.gateway.queries;
        let loaded = queries.stored_inquiries(account.as_ref(), &code).await;
        loaded.map_err(|error| store_errors::to_status(&error))
    };
    let found = deadline::enforce(caller_deadline, loading).await?;
    if found.is_empty() {
        let message = "there is no such inquiry, or it was deleted after it expired; inquire again";
        let reason = ErrorReason::InquiryNotFound;
        return Err(status(Code::NotFound, reason, Sent::No, message));
    }
    let inquiries = found.into_iter().map(build).collect();
    Ok(Response::new(v1::GetInquiryResponse { inquiries }))
}

fn parse(request: &v1::GetInquiryRequest) -> Result<(Option<AccountName>, InquiryCode), Status> {
    let mut violations = Violations::default();
    let account = account_field::optional(&request.account, &mut violations);
    let code = InquiryCode::parse(request.inquiry_code.as_str());
    match violations.required("inquiry_code", code) {
        Some(code) if violations.is_empty() => Ok((account, code)),
        _ => Err(violations.into_status()),
    }
}

/// Builds the message of a stored inquiry.
fn build(held: HeldInquiry) -> v1::StoredInquiry {
    let inquiry = held.inquiry;
    let order = &inquiry.order;
    let operation = match order.bill() {
        Some(_) => Operation::PayPostpaid,
        None => Operation::PurchasePrepaid,
    };
    let answered_at = order.inquired.as_ref().and_then(|inquired| inquired.at);
    v1::StoredInquiry {
        account: inquiry.account.to_string(),
        inquiry_code: inquiry.inquiry_code.to_string(),
        operation: transaction_message::operation_of(operation).into(),
        product_code: order.product_code.to_string(),
        account_number: order.account_number.as_str().to_owned(),
        create_time: answered_at.map(timestamp),
        expire_time: Some(timestamp(inquiry.expires_at)),
        bill: order
            .bill()
            .map(|bill| transaction_message::bill_of(bill, None)),
        holder_reference_code: text_or_empty(held.holder),
    }
}
