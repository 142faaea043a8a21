//! Promises 1, 2 and 11: a crash changes when, not whether.

use crate::support::{
    on_both_stores,
    world::{
        ANSWER_AND_CALLBACK_LOST, ANSWER_LOST, CALLBACK_LOST, PENDING_THEN_SUCCESS, PLAIN, RESET,
        RESET_AND_CALLBACK_LOST, SLOW, StoreKind, World, assert_succeeded, order, reference,
    },
};

async fn a_kill_after_the_post_still_ends_in_success(kind: StoreKind) {
    let mut world = World::new(kind).await;
    // The new process waits for the old one's POST to be over: scaled down.
    world
        .set("accounts.main.timeout", "1s")
        .set("limits.queue_timeout", "500ms");
    let accounts = [
        PLAIN,
        SLOW,
        PENDING_THEN_SUCCESS,
        CALLBACK_LOST,
        ANSWER_LOST,
        RESET,
        ANSWER_AND_CALLBACK_LOST,
        RESET_AND_CALLBACK_LOST,
    ];
    for account_number in accounts {
        let mut gateway = world.start_gateway().await;
        let code = reference();
        let mut client = gateway.client().await;
        let request = order(&code, account_number);
        let call = tokio::spawn(async move { client.purchase_prepaid(request).await });
        assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
        gateway.process.kill().await;
        drop(call.await);

        let mut gateway = world.start_gateway().await;
        assert_succeeded(&gateway.until_final(&code).await);
        let ledger = world.ledger(&code).await;
        assert_eq!(
            (ledger.received, ledger.executed),
            (1, 1),
            "{account_number}"
        );
        let mut client = gateway.client().await;
        let again = client
            .purchase_prepaid(order(&code, account_number))
            .await
            .unwrap()
            .into_inner();
        assert!(again.replayed, "{account_number}");
        assert_eq!(world.ledger(&code).await.received, 1, "{account_number}");
        // The next one opens the same store.
        gateway.process.kill().await;
    }
}

on_both_stores!(a_kill_after_the_post_still_ends_in_success);
