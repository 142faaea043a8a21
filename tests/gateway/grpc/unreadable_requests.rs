//! Requests that fail before any handler runs: every error carries an `ErrorInfo`, and none reports
//! `sent=no` for a reference code that was never read.

use okebayar_gateway::grpc::v1::{
    EchoResponse, GetBalanceRequest, ListNoticesRequest, WatchTransactionsRequest,
    account_service_client::AccountServiceClient, notice_service_client::NoticeServiceClient,
    transaction_service_client::TransactionServiceClient,
};
use prost::Message;
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, metadata::MetadataValue,
    transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::support::world::{
    Gateway, PLAIN, StoreKind, World, assert_refused, assert_succeeded, order, pushback_ms,
    reference,
};

/// A malformed request: its reference code is not UTF-8.
#[derive(Clone, PartialEq, Message)]
struct Unreadable {
    #[prost(bytes = "vec", tag = "2")]
    reference_code: Vec<u8>,
}

async fn call(gateway: &Gateway, path: &'static str, message: Unreadable) -> Result<(), Status> {
    let channel = Channel::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let mut client = Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let codec = ProstCodec::<Unreadable, EchoResponse>::default();
    let path = PathAndQuery::from_static(path);
    client.unary(Request::new(message), path, codec).await?;
    Ok(())
}

#[tokio::test]
async fn oversized_request_is_resource_exhausted() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = order(&code, PLAIN);
    request.product_code = "x".repeat(70 * 1024);
    let refused = client.purchase_prepaid(request).await;
    let reason = "REQUEST_TOO_LARGE";
    let refused = assert_refused(refused, Code::ResourceExhausted, reason, "maybe");
    // A retry policy that repeats RESOURCE_EXHAUSTED does not repeat this.
    assert_eq!(pushback_ms(&refused), Some(-1));
    // A watcher reads OUT_OF_RANGE as "these changes are no longer kept".
    let request = WatchTransactionsRequest {
        cursor: "x".repeat(70 * 1024),
        ..WatchTransactionsRequest::default()
    };
    let refused = client.watch_transactions(request).await;
    assert_refused(refused, Code::ResourceExhausted, reason, "maybe");
    assert_eq!(world.ledger(&code).await.received, 0);
}

#[tokio::test]
async fn unreadable_request_and_unknown_method_have_error_info() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let unreadable = Unreadable {
        reference_code: vec![0xff; 8],
    };
    let purchase = "/okebayar.gateway.v1.TransactionService/PurchasePrepaid";
    let refused = call(&gateway, purchase, unreadable.clone()).await;
    assert_refused(
        refused,
        Code::InvalidArgument,
        "REQUEST_UNREADABLE",
        "maybe",
    );
    for path in [
        "/okebayar.gateway.v1.TransactionService/SellPrepaid",
        "/made.up.Service/Call",
    ] {
        let refused = call(&gateway, path, unreadable.clone()).await;
        assert_refused(refused, Code::Unimplemented, "METHOD_UNKNOWN", "maybe");
    }
}

/// Invalid timeouts (gRPC over HTTP/2 requires 1 to 8 digits and a unit).
const NO_TIMEOUTS: [&str; 17] = [
    "99999999999999999999H",
    "18446744073709551615H",
    "18446744073709551615M",
    "9999999999999999H",
    "999999999999999999M",
    "100000000S",
    "000000001S",
    "",
    "S",
    "5",
    "5x",
    "5h",
    "+5S",
    "-5S",
    "5 S",
    "5.5S",
    " 5S",
];

fn within<T>(message: T, timeout: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout = MetadataValue::from_static(timeout);
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}

#[tokio::test]
async fn unreadable_deadline_is_rejected() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let channel = Channel::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut client = TransactionServiceClient::new(channel.clone());
    let mut notices = NoticeServiceClient::new(channel.clone());
    let mut accounts = AccountServiceClient::new(channel);
    let code = reference();
    for timeout in NO_TIMEOUTS {
        let assert_unreadable = |refused: Result<(), Status>| {
            assert_refused(
                refused,
                Code::InvalidArgument,
                "DEADLINE_UNREADABLE",
                "maybe",
            );
        };
        let request = within(order(&code, PLAIN), timeout);
        let refused = client.purchase_prepaid(request).await;
        assert_unreadable(refused.map(drop));
        let request = within(WatchTransactionsRequest::default(), timeout);
        let refused = client.watch_transactions(request).await;
        assert_unreadable(refused.map(drop));
        let request = within(ListNoticesRequest::default(), timeout);
        let refused = notices.list_notices(request).await;
        assert_unreadable(refused.map(drop));
        let request = within(GetBalanceRequest::default(), timeout);
        let refused = accounts.get_balance(request).await;
        assert_unreadable(refused.map(drop));
    }
    assert_eq!(world.ledger(&code).await.received, 0);
    // The longest timeout of each unit is valid, on the same connection.
    for timeout in ["99999999H", "99999999M", "99999999S", "99999999m"] {
        let bought = client.purchase_prepaid(within(order(&code, PLAIN), timeout));
        assert_succeeded(&bought.await.unwrap().into_inner().transaction.unwrap());
        let request = within(ListNoticesRequest::default(), timeout);
        notices.list_notices(request).await.unwrap();
    }
    assert_eq!(world.ledger(&code).await.received, 1);
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
    let log = gateway.process.text();
    assert!(!log.contains("panicked"), "{log}");
}
