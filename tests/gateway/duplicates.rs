//! Promise 6: concurrent duplicates converge on one purchase.

use std::collections::BTreeSet;

use crate::support::{
    on_both_stores,
    world::{PENDING_THEN_SUCCESS, SLOW, StoreKind, World, bought, order, reference},
};

const CALLERS: usize = 200;

async fn two_hundred_callers_buy_once(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    for account_number in [SLOW, PENDING_THEN_SUCCESS] {
        let code = reference();
        let client = gateway.client().await;
        let calls = (0..CALLERS).map(|_| {
            let (mut client, request) = (client.clone(), order(&code, account_number));
            tokio::spawn(async move { client.purchase_prepaid(request).await })
        });
        let (mut trace_codes, mut firsts) = (BTreeSet::new(), 0);
        for call in calls.collect::<Vec<_>>() {
            let answer = call
                .await
                .unwrap()
                .expect("no duplicate fails for being second")
                .into_inner();
            firsts += usize::from(!answer.replayed);
            trace_codes.insert(bought(answer).trace_code);
        }
        assert_eq!(firsts, 1, "one call is the first");
        assert_eq!(trace_codes.len(), 1, "{trace_codes:?}");
        assert!(!trace_codes.contains(""), "every caller has the trace code");
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

on_both_stores!(two_hundred_callers_buy_once);
