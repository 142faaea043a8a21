//! Promise 12: a callback is stored before it is answered, or else answered 503.

use crate::support::world::{PENDING_FOR_EVER, StoreKind, World, buy, get, reference};

/// Asserts that a callback about a transaction is rejected because it cannot be stored.
async fn assert_not_stored(url: &str) {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.text().await.unwrap(),
        "callback not stored; retry later\n"
    );
}

#[tokio::test]
async fn callback_is_answered_503_while_store_is_down() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    // Redis answers reads and rejects writes.
    let redis = world.redis.as_ref().unwrap();
    let replicas = async |wanted| {
        let set = ["CONFIG", "SET", "min-replicas-to-write", wanted];
        redis.command(&set).await;
    };
    replicas("1").await;
    assert_not_stored(&url).await;
    assert_eq!(get(&mut client, &code).await.unwrap(), before);
    replicas("0").await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let transaction = get(&mut client, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}

#[tokio::test]
async fn callback_is_answered_503_while_disk_is_full() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let mut gateway = world.start_gateway_on_full_disk().await;
    let code = reference();
    let before = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    gateway.process.limit_file_size(Some(1));
    assert_not_stored(&url).await;
    gateway.process.kill().await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, &code).await.unwrap(), before);
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let transaction = get(&mut client, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}

#[tokio::test]
async fn callback_is_answered_503_while_store_hangs() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("store.timeout", "300ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let url = format!("{}?referencecode={code}&status=000", world.callback_url());
    world.redis.as_ref().unwrap().freeze();
    assert_not_stored(&url).await;
    world.redis.as_ref().unwrap().thaw();
    let stored = async {
        while reqwest::get(&url).await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::process::PATIENCE, stored)
        .await
        .unwrap();
    let transaction = get(&mut gateway.client().await, &code).await.unwrap();
    assert_eq!(transaction.reported_status_code, "000");
}
