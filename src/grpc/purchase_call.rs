//! The parts of a request, the intent and the call that `PurchasePrepaid` and `PayPostpaid` share.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;
use tonic::Status;
use tracing::info;

use super::{
    context::RpcContext, contract::v1, purchase_errors, value_messages::time,
    violations::Violations,
};
use crate::{
    ledger::{Wait, WaitUntil},
    purchase::{Purchase, PurchaseError},
    telemetry::current_trace,
    transaction::{
        AccountName, Amount, BillGuards, Contents, Guards, Intent, Labels, ReferenceCode,
        Transaction,
    },
};

/// The fields of a request that are not compared with those of an earlier call.
pub(super) struct CallTerms {
    /// The condition that the call waits for.
    until: WaitUntil,
    guards: Guards,
    labels: Labels,
    /// The request is validated only.
    validates_only: bool,
}

impl CallTerms {
    /// Parses the fields that both requests have; `None` when one is invalid.
    pub(super) fn parse(
        wait_until: i32,
        expire_time: Option<&prost_types::Timestamp>,
        labels: HashMap<String, String>,
        validates_only: bool,
        violations: &mut Violations,
    ) -> Option<Self> {
        let until = parse_wait_until(wait_until, violations);
        let expire_at = time("expire_time", expire_time, violations);
        let labels = violations.required("labels", Labels::parse(labels));
        Some(Self {
            until: until?,
            guards: Guards {
                expire_at,
                max_price: None,
            },
            labels: labels?,
            validates_only,
        })
    }

    /// Adds the highest price that the caller accepts.
    pub(super) fn with_max_price(mut self, max_price: Option<Amount>) -> Self {
        self.guards.max_price = max_price;
        self
    }
}

/// A purchase or payment call, ready to execute.
pub(super) struct PurchaseCall {
    intent: Intent,
    until: WaitUntil,
    validates_only: bool,
}

impl PurchaseCall {
    /// Builds a call. A request that names no account gets the default one.
    pub(super) fn new(
        context: &RpcContext,
        account: Option<AccountName>,
        reference_code: ReferenceCode,
        contents: Contents,
        bill: BillGuards,
        terms: CallTerms,
    ) -> Self {
        let intent = Intent {
            names_account: account.is_some(),
            account: account.unwrap_or_else(|| context.gateway.accounts.default_account().clone()),
            reference_code,
            contents,
            bill,
            guards: terms.guards,
            labels: terms.labels,
            trace: current_trace(),
        };
        Self {
            intent,
            until: terms.until,
            validates_only: terms.validates_only,
        }
    }

    /// Purchases or pays, and waits for the requested state until shortly before the caller's
    /// deadline; or only validates. Returns the transaction, and true when another call made it.
    pub(super) async fn execute(
        self,
        context: &RpcContext,
        caller_deadline: Option<Instant>,
    ) -> Result<(Option<Arc<Transaction>>, bool), Status> {
        let reference_code = self.intent.reference_code.clone();
        let wait = Wait {
            until: self.until,
            caller_deadline,
        };
        let operation = self.intent.contents.operation();
        let purchases = &context.gateway.purchases;
        let executed = if self.validates_only {
            within(&wait, purchases.validate(self.intent)).await
        } else {
            purchases.purchase(self.intent, wait).await.map(Some)
        };
        let executed = executed.map_err(|error| {
            info!(%reference_code, %error, "purchase refused");
            purchase_errors::to_status(&error)
        })?;
        let Some(Purchase {
            transaction,
            replayed,
        }) = executed
        else {
            return Ok((None, false));
        };
        if replayed && !self.validates_only {
            context.gateway.metrics.replay(operation);
        }
        Ok((Some(transaction), replayed))
    }
}

/// Awaits a validation until shortly before the caller's deadline.
async fn within(
    wait: &Wait,
    validating: impl Future<Output = Result<Option<Arc<Transaction>>, PurchaseError>>,
) -> Result<Option<Purchase>, PurchaseError> {
    let validated = match wait.deadline() {
        Some(deadline) => tokio::time::timeout_at(deadline, validating)
            .await
            .map_err(|_| PurchaseError::OutOfTime)??,
        None => validating.await?,
    };
    Ok(validated.map(|transaction| Purchase {
        transaction,
        replayed: true,
    }))
}

/// Parses the field `wait_until`.
fn parse_wait_until(value: i32, violations: &mut Violations) -> Option<WaitUntil> {
    match v1::WaitUntil::try_from(value) {
        Ok(v1::WaitUntil::Unspecified | v1::WaitUntil::Answered) => Some(WaitUntil::Answered),
        Ok(v1::WaitUntil::Terminal) => Some(WaitUntil::Terminal),
        Ok(v1::WaitUntil::Stored) => Some(WaitUntil::Stored),
        Err(_) => {
            violations.add(
                "wait_until",
                "it is not a value of WaitUntil; give ANSWERED, TERMINAL or STORED",
            );
            None
        }
    }
}
