//! The total that a payment states.

use okebayar_gateway::grpc::v1::PayPostpaidRequest;
use redis::AsyncTypedCommands;
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    bills::ANNA,
    calls::rupiah,
    world::{Gateway, StoreKind, WATER, World, assert_refused, pay, payment, reference},
};

#[tokio::test]
async fn payment_without_total_is_rejected() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway: Gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    let request = PayPostpaidRequest {
        total: None,
        ..payment(&code, &inquiry)
    };
    let refused = gateway.client().await.pay_postpaid(request).await;
    let status = assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "maybe");
    let details = status.get_details_bad_request().unwrap();
    assert_eq!(details.field_violations[0].field, "total");
    assert!(status.message().contains("give the total"), "{status}");
    assert_eq!(world.ledger(&code).await.received, 0);
}

/// Records of a release that did not require a stated total.
#[tokio::test]
async fn stored_payment_without_total_is_replayed() {
    let world = World::new(StoreKind::Redis).await;
    world.redis.as_ref().unwrap().use_schema_3().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    pay(&mut client, &code, &inquiry).await.unwrap();
    let mut connection = world.redis.as_ref().unwrap().connection().await;
    let keys = connection.keys("okb:*:tx:*").await.unwrap();
    let body = connection.hget(&keys[0], "body").await.unwrap().unwrap();
    let mut record: Value = serde_json::from_str(&body).unwrap();
    let contents = record.pointer_mut("/transaction/contents").unwrap();
    assert!(contents.as_object_mut().unwrap().remove("total").is_some());
    connection
        .hset(&keys[0], "body", record.to_string())
        .await
        .unwrap();
    let again = client.pay_postpaid(payment(&code, &inquiry)).await;
    assert!(again.unwrap().into_inner().replayed);
    let other = PayPostpaidRequest {
        total: rupiah(1),
        ..payment(&code, &inquiry)
    };
    let refused = client.pay_postpaid(other).await;
    let reason = "REFERENCE_CODE_REUSED";
    let status = assert_refused(refused, Code::AlreadyExists, reason, "maybe");
    assert!(status.message().contains("another total"), "{status}");
    assert_eq!(world.ledger(&code).await.received, 1);
}
