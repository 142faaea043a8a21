//! Records written by a later release during a rollout in which both share a store of schema 3.

use okebayar_gateway::grpc::v1::TransactionState;
use redis::AsyncTypedCommands;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    redis::Redis,
    world::{PENDING_FOR_EVER, StoreKind, World, buy, get, order, reference},
};

/// Returns the only transaction in a Redis and its record.
async fn record(redis: &Redis) -> (String, Value) {
    let mut connection = redis.connection().await;
    let mut keys = connection.keys("okb:*:tx:*").await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let key = keys.remove(0);
    let body = connection.hget(&key, "body").await.unwrap().unwrap();
    (key, serde_json::from_str(&body).unwrap())
}

async fn put_record(redis: &Redis, key: &str, record: &Value) {
    let mut connection = redis.connection().await;
    connection
        .hset(key, "body", record.to_string())
        .await
        .unwrap();
}

#[tokio::test]
async fn save_keeps_fields_of_later_release() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    world.redis.as_ref().unwrap().use_schema_3().await;
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let redis = world.redis.as_ref().unwrap();
    let (key, mut later) = record(redis).await;
    let places = [
        "",
        "/transaction",
        "/transaction/contents",
        "/transaction/order",
        "/transaction/attempt",
        "/transaction/rules",
        "/transaction/checks",
        "/transaction/evidence/0",
    ];
    for place in places {
        later.pointer_mut(place).unwrap()["later"] = json!({ "added": place });
    }
    let before = later.pointer("/transaction/version").unwrap().as_u64();
    put_record(redis, &key, &later).await;

    // The callback is stored before it is answered; it requests a check, which is stored as well.
    let report = format!("{}?referencecode={code}&status=000", world.callback_url());
    assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    let (_, saved) = record(redis).await;
    assert!(saved.pointer("/transaction/version").unwrap().as_u64() > before);
    let (of_evidence, others) = places.split_last().unwrap();
    for place in others {
        let kept = saved.pointer(place).unwrap()["later"]["added"].as_str();
        assert_eq!(kept, Some(*place));
    }
    let evidence = saved["transaction"]["evidence"].as_array().unwrap();
    let kept: Vec<&Value> = evidence
        .iter()
        .filter(|entry| entry["later"]["added"] == **of_evidence)
        .collect();
    assert_eq!(kept.len(), 1, "{evidence:#?}");
    assert!(evidence.len() > 1, "the callback is in the timeline");
}

#[tokio::test]
async fn record_with_finding_of_later_release_is_not_sent_again() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    world.redis.as_ref().unwrap().use_schema_3().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let redis = world.redis.as_ref().unwrap();
    let (key, known) = record(redis).await;
    let mut later = known.clone();
    later["transaction"]["evidence"][0]["finding"] = json!("proven_by_a_later_release");
    put_record(redis, &key, &later).await;

    let refused = client
        .purchase_prepaid(order(&code, PENDING_FOR_EVER))
        .await;
    assert!(refused.is_err(), "{refused:?}");
    let status = get(&mut client, &code).await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss, "{status}");
    let report = format!("{}?referencecode={code}&status=204", world.callback_url());
    assert_eq!(reqwest::get(report).await.unwrap().status(), 503);
    assert_eq!(record(redis).await.1, later);
    assert_eq!(world.ledger(&code).await.received, 1);

    // The later release, or this one after its upgrade, continues.
    put_record(redis, &key, &known).await;
    let replayed = buy(&mut client, &code, PENDING_FOR_EVER).await;
    assert_eq!(replayed.state(), TransactionState::Pending);
    assert_eq!(world.ledger(&code).await.received, 1);
}
