//! Restoring a backup of the embedded store.

use crate::support::{
    failover::{back_up, beside_store, restore, stop},
    process::Process,
    world::{BINARY, PLAIN, StoreKind, World, assert_succeeded, buy, get, reference},
};

#[tokio::test]
async fn restore_is_rejected_while_store_is_in_use_and_keeps_replaced_file() {
    let mut world = World::new(StoreKind::Embedded).await;
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    restore(&mut world).await;
    let mut second = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!second.ended().await.success());
    assert!(
        second.text().contains("cannot be restored: "),
        "{}",
        second.text()
    );
    assert!(get(&mut gateway.client().await, &code).await.is_ok());
    stop(gateway).await;

    stop(world.start_gateway().await).await;
    assert!(!beside_store(&world, ".restore").exists());
    let replaced = beside_store(&world, ".replaced");
    restore(&mut world).await;
    let mut again = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!again.ended().await.success());
    assert!(again.text().contains("move it away"), "{}", again.text());
    std::fs::remove_file(beside_store(&world, ".restore")).unwrap();
    std::fs::rename(replaced, world.store_file()).unwrap();
    let gateway = world.start_gateway().await;
    assert_succeeded(&get(&mut gateway.client().await, &code).await.unwrap());
}
