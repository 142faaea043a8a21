//! Concurrent duplicates of one purchase.

use std::collections::BTreeSet;

use okebayar_gateway::grpc::v1::Transaction;

use crate::support::world::{Client, World, bought, order, reference};

pub const CALLERS: usize = 200;

/// Sends 200 concurrent purchases under one reference code through the given clients in turn;
/// asserts that one is executed and that all receive the same transaction.
pub async fn buy_at_once(
    world: &World,
    clients: &[Client],
    account_number: &str,
) -> Vec<Transaction> {
    let code = reference();
    let calls: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let mut client = clients[caller % clients.len()].clone();
            let request = order(&code, account_number);
            tokio::spawn(async move { client.purchase_prepaid(request).await })
        })
        .collect();
    let (mut transactions, mut firsts) = (Vec::new(), 0);
    for call in calls {
        let answer = call
            .await
            .unwrap()
            .expect("a duplicate must not fail")
            .into_inner();
        firsts += usize::from(!answer.replayed);
        transactions.push(bought(answer));
    }
    let trace_codes: BTreeSet<&str> = transactions
        .iter()
        .map(|transaction| transaction.trace_code.as_str())
        .collect();
    assert_eq!((firsts, trace_codes.len()), (1, 1), "{trace_codes:?}");
    assert!(!trace_codes.contains(""), "a caller has no trace code");
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    transactions
}
