//! Promise 13 for `WatchTransaction`: every revision once, in order, also after a pause.

use okebayar_gateway::grpc::v1::TransactionState;
use tonic::Code;

use crate::support::{
    on_both_stores,
    watch::{request, watch},
    world::{
        PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, assert_succeeded, buy,
        reference,
    },
};

async fn watch_returns_every_revision_in_order_and_resumes(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let first = buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    assert_eq!(first.state(), TransactionState::Pending);

    let seen = watch(&mut client, &code, 0).await.unwrap();
    let revisions: Vec<i64> = seen
        .iter()
        .map(|transaction| transaction.revision)
        .collect();
    let last = *revisions.last().unwrap();
    assert_eq!(revisions, (revisions[0]..=last).collect::<Vec<_>>());
    assert_succeeded(seen.last().unwrap());
    assert!(
        seen.iter()
            .any(|transaction| transaction.reported_status_code == "000"
                && transaction.state() == TransactionState::Pending),
        "the callback must precede its confirmation"
    );

    for after in 1..last {
        let resumed = watch(&mut client, &code, after).await.unwrap();
        let revisions: Vec<i64> = resumed
            .iter()
            .map(|transaction| transaction.revision)
            .collect();
        assert_eq!(
            revisions,
            (after + 1..=last).collect::<Vec<_>>(),
            "after {after}"
        );
    }
    // At the end the final state is repeated, so that silence is not mistaken for progress.
    let again = watch(&mut client, &code, last).await.unwrap();
    assert_eq!(again.as_slice(), &seen[seen.len() - 1..]);
}

async fn future_revision_and_unknown_transaction_are_distinguished(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let bought = buy(&mut client, &code, PLAIN).await;
    let status = watch(&mut client, &code, bought.revision + 1)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    let status = watch(&mut client, &reference(), 0).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = watch(&mut client, &code, -1).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn watch_from_trimmed_revision_is_out_of_range() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("store.partitions", "1");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    let settled = gateway.until_final(&code).await;
    assert!(settled.revision >= 3);
    let redis = redis::Client::open(world.redis.as_ref().unwrap().url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut trim = redis::cmd("XTRIM");
    trim.arg("okb:{0}:events").arg("MAXLEN").arg(0);
    trim.query_async::<i64>(&mut connection).await.unwrap();
    let status = watch(&mut client, &code, 1).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let seen = watch(&mut client, &code, 0).await.unwrap();
    assert_succeeded(seen.last().unwrap());
}

#[tokio::test]
async fn shutdown_ends_watch_with_reason() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let mut updates = client
        .watch_transaction(request(&code, 0))
        .await
        .unwrap()
        .into_inner();
    updates
        .message()
        .await
        .unwrap()
        .expect("the watch must return the present state immediately");
    gateway.process.signal("-TERM");
    let status = updates.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(gateway.process.ended().await.success());
}

on_both_stores!(
    watch_returns_every_revision_in_order_and_resumes,
    future_revision_and_unknown_transaction_are_distinguished,
);
