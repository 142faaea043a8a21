//! `call list-transactions`: lists transactions by contents, state and times.

use std::sync::LazyLock;

use clap::{
    Args, ValueEnum, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;
use tonic::Status;

use super::{
    exit_outcome::ExitOutcome, gateway_client::GatewayClient, label::parse_label,
    page::PageArguments,
};
use crate::grpc::v1;

/// The transactions to list.
#[derive(Args)]
pub struct ListTransactionsArguments {
    /// List only transactions in this state. Can be repeated.
    #[arg(long = "state")]
    states: Vec<StateName>,
    /// List only transactions with this reason. Can be repeated.
    #[arg(long = "reason", value_parser = reason_parser())]
    reasons: Vec<v1::TransactionReason>,
    /// List only transactions of this product code. Can be repeated.
    #[arg(long = "product-code", value_hint = ValueHint::Other)]
    product_codes: Vec<String>,
    /// List only transactions for this account number.
    #[arg(long, default_value = "", value_hint = ValueHint::Other)]
    account_number: String,
    /// List only transactions with this label. Can be repeated: all must match.
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        value_parser = parse_label,
        value_hint = ValueHint::Other
    )]
    labels: Vec<(String, String)>,
    /// List only transactions accepted at this time or later, such as 2026-11-23T00:00:00+07:00.
    #[arg(long, value_hint = ValueHint::Other)]
    start_time: Option<Timestamp>,
    /// List only transactions accepted before this time.
    #[arg(long, value_hint = ValueHint::Other)]
    end_time: Option<Timestamp>,
    /// List only transactions last changed at this time or later.
    #[arg(long, value_hint = ValueHint::Other)]
    update_start_time: Option<Timestamp>,
    /// List only transactions last changed before this time.
    #[arg(long, value_hint = ValueHint::Other)]
    update_end_time: Option<Timestamp>,
    /// Show all fields, including the timeline and the fields of the answer.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    page: PageArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum StateName {
    /// The intent is stored; there is no answer yet.
    Sending,
    /// OKEBAYAR accepted it and is processing it.
    Pending,
    /// The outcome is unknown; status checks are made.
    Confirming,
    /// The money is spent.
    Succeeded,
    /// It failed; no money is spent.
    Failed,
    /// Nothing was sent; the same reference code can be used again.
    NotSent,
    /// An operator must resolve it.
    NeedsReview,
    /// It had succeeded and was reversed; the money is returned.
    Reversed,
}

impl From<StateName> for i32 {
    fn from(state: StateName) -> Self {
        let state = match state {
            StateName::Sending => v1::TransactionState::Sending,
            StateName::Pending => v1::TransactionState::Pending,
            StateName::Confirming => v1::TransactionState::Confirming,
            StateName::Succeeded => v1::TransactionState::Succeeded,
            StateName::Failed => v1::TransactionState::Failed,
            StateName::NotSent => v1::TransactionState::NotSent,
            StateName::NeedsReview => v1::TransactionState::NeedsReview,
            StateName::Reversed => v1::TransactionState::Reversed,
        };
        state.into()
    }
}

/// The reasons of the contract, as values of `--reason`: `deposit-exhausted`.
static REASONS: LazyLock<Vec<(String, v1::TransactionReason)>> = LazyLock::new(|| {
    let known = (1..=REASON_MAX).filter_map(|number| v1::TransactionReason::try_from(number).ok());
    known
        .map(|reason| {
            let name = reason
                .as_str_name()
                .trim_start_matches("TRANSACTION_REASON_");
            (name.to_ascii_lowercase().replace('_', "-"), reason)
        })
        .collect()
});
/// A number above that of every reason.
const REASON_MAX: i32 = 999;

fn reason_parser() -> impl TypedValueParser<Value = v1::TransactionReason> {
    let names = REASONS.iter().map(|(name, _)| name.as_str());
    PossibleValuesParser::new(names).try_map(|given| {
        let found = REASONS.iter().find(|(name, _)| *name == given);
        found.map(|(_, reason)| *reason).ok_or("it is no reason")
    })
}

impl ListTransactionsArguments {
    /// Calls `ListTransactions` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let time = |time: Timestamp| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        };
        let view = if self.full {
            v1::TransactionView::Full
        } else {
            v1::TransactionView::Basic
        };
        let request = client.request(v1::ListTransactionsRequest {
            accounts: client.accounts(),
            states: self.states.into_iter().map(i32::from).collect(),
            reasons: self.reasons.into_iter().map(i32::from).collect(),
            product_codes: self.product_codes,
            account_number: self.account_number,
            labels: self.labels.into_iter().collect(),
            start_time: self.start_time.map(time),
            end_time: self.end_time.map(time),
            update_start_time: self.update_start_time.map(time),
            update_end_time: self.update_end_time.map(time),
            view: view.into(),
            page_size: self.page.page_size,
            page_token: self.page.page_token,
        });
        client
            .show(client.transaction_service().list_transactions(request))
            .await
    }
}
