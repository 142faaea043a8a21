//! `call list-transactions`: lists transactions by state and time.

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;
use tonic::Status;

use super::{exit_outcome::ExitOutcome, gateway_client::GatewayClient, page::PageArguments};
use crate::grpc::v1;

/// The transactions to list.
#[derive(Args)]
pub struct ListTransactionsArguments {
    /// List only transactions in this state. Can be repeated.
    #[arg(long = "state")]
    states: Vec<StateName>,
    /// List only transactions accepted at this time or later, such as 2026-11-23T00:00:00+07:00.
    #[arg(long, value_hint = ValueHint::Other)]
    start_time: Option<Timestamp>,
    /// List only transactions accepted before this time.
    #[arg(long, value_hint = ValueHint::Other)]
    end_time: Option<Timestamp>,
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

impl ListTransactionsArguments {
    /// Calls `ListTransactions` and prints the response.
    pub(super) async fn run(self, client: &GatewayClient) -> Result<ExitOutcome, Status> {
        let time = |time: Timestamp| prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        };
        let request = client.request(v1::ListTransactionsRequest {
            accounts: client.accounts(),
            states: self.states.into_iter().map(i32::from).collect(),
            start_time: self.start_time.map(time),
            end_time: self.end_time.map(time),
            page_size: self.page.page_size,
            page_token: self.page.page_token,
            ..v1::ListTransactionsRequest::default()
        });
        client
            .show(client.transaction_service().list_transactions(request))
            .await
    }
}
