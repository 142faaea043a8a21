//! The intent, the wait and the call that `PurchasePrepaid` and `PayPostpaid` share.

use tokio::time::Instant;
use tonic::Status;
use tracing::info;

use super::{context::RpcContext, contract::v1, purchase_errors, violations::Violations};
use crate::{
    ledger::{Wait, WaitUntil},
    purchase::Purchase,
    telemetry::current_trace,
    transaction::{AccountName, BillGuards, Contents, Intent, ReferenceCode},
};

/// Builds the intent of a purchase or payment. A request that names no account gets the
/// default one.
pub(super) fn intent(
    context: &RpcContext,
    account: Option<AccountName>,
    reference_code: ReferenceCode,
    contents: Contents,
    bill: BillGuards,
) -> Intent {
    Intent {
        names_account: account.is_some(),
        account: account.unwrap_or_else(|| context.gateway.accounts.default_account().clone()),
        reference_code,
        contents,
        bill,
        trace: current_trace(),
    }
}

/// Parses the field `wait_until`.
pub(super) fn parse_wait_until(value: i32, violations: &mut Violations) -> Option<WaitUntil> {
    match v1::WaitUntil::try_from(value) {
        Ok(v1::WaitUntil::Unspecified | v1::WaitUntil::Answered) => Some(WaitUntil::Answered),
        Ok(v1::WaitUntil::Final) => Some(WaitUntil::Final),
        Err(_) => {
            violations.add(
                "wait_until",
                "it is not a value of WaitUntil; give ANSWERED or FINAL",
            );
            None
        }
    }
}

/// Purchases or pays, and waits for the requested state until shortly before the caller's
/// deadline.
pub(super) async fn execute(
    context: &RpcContext,
    intent: Intent,
    until: WaitUntil,
    caller_deadline: Option<Instant>,
) -> Result<Purchase, Status> {
    let reference_code = intent.reference_code.clone();
    let wait = Wait {
        until,
        caller_deadline,
    };
    let operation = intent.contents.operation();
    let purchased = context.gateway.purchases.purchase(intent, wait).await;
    let purchased = purchased.map_err(|error| {
        info!(%reference_code, %error, "purchase refused");
        purchase_errors::to_status(&error)
    })?;
    if purchased.replayed {
        context.gateway.metrics.replay(operation);
    }
    Ok(purchased)
}
