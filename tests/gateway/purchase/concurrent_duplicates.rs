//! Promise 6: concurrent duplicates converge on one purchase.

use crate::support::{
    duplicates::buy_at_once,
    on_both_stores,
    world::{PENDING_THEN_SUCCESS, SLOW, StoreKind, World},
};

async fn concurrent_duplicates_buy_once(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    for account_number in [SLOW, PENDING_THEN_SUCCESS] {
        buy_at_once(&world, &[gateway.client().await], account_number).await;
    }
}

on_both_stores!(concurrent_duplicates_buy_once);
