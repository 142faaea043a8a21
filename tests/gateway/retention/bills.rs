//! The list of a bill after the end of its payments.

use okebayar_gateway::{grpc::v1::TransactionState, inquiries::bill_list, transaction::Verbatim};
use tonic::Code;

use super::support::{end_at_once, retire_as, send_quickly, until_retired};
use crate::support::{
    bills::{ANNA, key, store_of, world_with_repeatable_payments},
    failover::{guard, stop},
    payments::SandboxProxy,
    world::{StoreKind, WATER, World, assert_not_stored, assert_refused, pay, reference},
};

async fn listed(world: &World) -> Vec<okebayar_gateway::transaction::TransactionKey> {
    let customer = Verbatim::new(format!("{ANNA}/"));
    let listed = bill_list::of_bill(&store_of(world).await, &customer).await;
    listed.unwrap().keys().to_vec()
}

/// Without its record, an unsent payment in the list would look lost while the failover guard is on.
#[tokio::test]
async fn ended_unsent_payment_does_not_block_bill_while_guard_is_on() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    send_quickly(&mut world);
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let (unsent, paid) = (reference(), reference());
    proxy.close().await;
    let refused = pay(&mut client, &unsent, &inquiry).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    assert_eq!(listed(&world).await, [key(&unsent)]);
    stop(gateway).await;
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    until_retired(&gateway, "NOT_SENT", 1).await;
    assert_eq!(listed(&world).await, []);
    let mut client = gateway.client().await;
    assert_not_stored(&mut client, &unsent).await;
    proxy.open().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    guard(&world, "start").await;
    // It is quarantined, as any other; and not refused for the ended one.
    let pending = pay(&mut client, &paid, &inquiry).await.unwrap();
    assert_eq!(pending.state(), TransactionState::Confirming);
}

/// A retired payment stays in the list for as long as an inquiry from before it may be paid.
#[tokio::test]
async fn retired_payment_leaves_list_after_ninety_days() {
    let mut world = world_with_repeatable_payments(StoreKind::Redis, "json").await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let codes = [reference(), reference(), reference()];
    for code in &codes {
        let inquiry = gateway.bill(WATER, ANNA).await;
        if let Some(before) = codes.iter().take_while(|it| *it != code).last() {
            let age = if *before == codes[0] { 91 } else { 40 };
            retire_as(&world, before, |tombstone| tombstone.changed_on -= age).await;
        }
        pay(&mut client, code, &inquiry).await.unwrap();
        gateway.until_final(code).await;
    }
    stop(gateway).await;
    end_at_once(&mut world);
    let gateway = world.start_gateway().await;
    until_retired(&gateway, "SUCCEEDED", 1).await;
    assert_eq!(listed(&world).await, [key(&codes[1]), key(&codes[2])]);
}
