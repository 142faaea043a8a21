//! The round trips to the store that a purchase waits for: calls that begin together are one, and so
//! are a claim and the reads behind it.

use std::time::Duration;

use okebayar_gateway::transaction::{Amount, Guards, Intent};

use crate::support::{
    bench::{Bench, bench_that_polls, buy},
    core::wish,
};

/// Buys, and returns the number of round trips until the outcome is stored.
async fn round_trips(bench: &Bench, intent: Intent) -> usize {
    bench.store.round_trips.take();
    buy(&bench.gateway, intent).await.unwrap();
    bench.settle().await;
    bench.store.round_trips.take()
}

#[tokio::test]
async fn prepaid_purchase_waits_for_three_round_trips() {
    // The poll of a waiting caller is no part of its purchase.
    let bench = bench_that_polls(Duration::from_mins(1)).await;
    // It observes the epoch of the store.
    bench.buy().await.unwrap();
    let plain = |number: u32| wish(&format!("plain-{number:04}"), "PULSA10").0;
    // The look-up of sales; the claim, and the look-up behind it; the outcome, its trace code and
    // its price.
    assert_eq!(round_trips(&bench, plain(1)).await, 3);
    assert_eq!(round_trips(&bench, plain(2)).await, 3);
    let first_of_product = wish("other-0001", "PULSA20").0;
    assert_eq!(round_trips(&bench, first_of_product).await, 3);
    // The last price is read together with the sales.
    let limited = Intent {
        guards: Guards {
            max_price: Amount::parse("1000000").ok(),
            ..Guards::default()
        },
        ..plain(3)
    };
    assert_eq!(round_trips(&bench, limited).await, 3);
    // A replay: the look-up of sales, and the claim that finds the transaction.
    assert_eq!(round_trips(&bench, plain(1)).await, 2);
}
