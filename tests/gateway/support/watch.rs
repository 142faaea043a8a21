//! Watches of one transaction.

use okebayar_gateway::grpc::v1::{Transaction, TransactionState, WatchTransactionRequest};
use tonic::Status;

use crate::support::{
    process::PATIENCE,
    world::{Client, Gateway},
};

pub fn request(reference_code: &str, after_revision: i64) -> WatchTransactionRequest {
    WatchTransactionRequest {
        reference_code: reference_code.to_owned(),
        after_revision,
        ..WatchTransactionRequest::default()
    }
}

/// Watches from a revision until the state is reached.
pub async fn until_state(
    gateway: &Gateway,
    code: &str,
    after: i64,
    state: TransactionState,
) -> Transaction {
    let mut client = gateway.client().await;
    let found = async {
        // A watch ends at a final state; a contradiction may follow it.
        loop {
            for transaction in watch(&mut client, code, after).await.unwrap() {
                if transaction.state() == state {
                    return transaction;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("the state was never reached")
}

pub async fn watch(
    client: &mut Client,
    code: &str,
    after: i64,
) -> Result<Vec<Transaction>, Status> {
    let mut updates = client
        .watch_transaction(request(code, after))
        .await?
        .into_inner();
    let mut seen = Vec::new();
    while let Some(update) = updates.message().await? {
        // A heartbeat has none.
        seen.extend(update.transaction);
    }
    Ok(seen)
}
