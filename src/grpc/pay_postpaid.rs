//! `PayPostpaid`: pays the bill that an inquiry found.

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
    AccountNumber, BillGuards, Contents, InquiryCode, ReferenceCode, TransactionKey,
};

/// The most transactions that a payment acknowledges. The store keeps as many for one bill.
const ACKNOWLEDGED_MAX: usize = 64;

/// Handles the call.
pub(super) async fn handle(
    context: &RpcContext,
    request: Request<v1::PayPostpaidRequest>,
) -> RpcResult<v1::PayPostpaidResponse> {
    let caller_deadline = deadline::of(request.metadata());
    let call = parse(context, request.into_inner())?;
    let (transaction, replayed) = call.execute(context, caller_deadline).await?;
    Ok(Response::new(v1::PayPostpaidResponse {
        transaction: transaction.map(|found| transaction_message::build(&found)),
        replayed,
    }))
}

fn parse(context: &RpcContext, request: v1::PayPostpaidRequest) -> Result<PurchaseCall, Status> {
    let mut violations = Violations::about(&request.reference_code);
    let account = account_field::optional(&request.account, &mut violations);
    let reference = violations.required(
        "reference_code",
        ReferenceCode::parse(request.reference_code),
    );
    let inquiry = violations.required("inquiry_code", InquiryCode::parse(request.inquiry_code));
    let total = request.total.as_ref().ok_or(
        "it is missing; give the total that the inquiry returned and the customer was shown",
    );
    let total = violations.required("total", total.and_then(amount));
    let account_number = violations.optional("account_number", &request.account_number, |text| {
        AccountNumber::parse(text)
    });
    let acknowledged =
        parse_acknowledged(&request.acknowledged_open_reference_codes, &mut violations);
    let terms = CallTerms::parse(
        request.wait_until,
        request.expire_time.as_ref(),
        request.labels,
        request.validate_only,
        &mut violations,
    );
    match (reference, inquiry, terms) {
        (Some(reference), Some(inquiry_code), Some(terms)) if violations.is_empty() => {
            let contents = Contents::PayPostpaid {
                inquiry_code,
                total,
            };
            let bill = BillGuards {
                account_number,
                acknowledged,
            };
            Ok(PurchaseCall::new(
                context, account, reference, contents, bill, terms,
            ))
        }
        _ => Err(violations.into_status()),
    }
}

/// Parses the open payments of the same bill that the caller acknowledges.
fn parse_acknowledged(codes: &[String], violations: &mut Violations) -> Vec<TransactionKey> {
    let field = "acknowledged_open_reference_codes";
    if codes.len() > ACKNOWLEDGED_MAX {
        let problem = format!(
            "it has {} entries; give at most {ACKNOWLEDGED_MAX}",
            codes.len()
        );
        violations.add(field, problem);
        return Vec::new();
    }
    let mut keys = Vec::new();
    for code in codes {
        let code = violations.required(field, ReferenceCode::parse(code.as_str()));
        keys.extend(code.as_ref().map(TransactionKey::new));
    }
    keys
}
