//! Requests that no handler sees: every error has its `ErrorInfo`, and none says that
//! nothing was sent under a reference code that was not even read.

use okebayar_gateway::grpc::v1::{EchoResponse, WatchTransactionsRequest};
use prost::Message;
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_prost::ProstCodec;

use crate::support::world::{Gateway, PLAIN, StoreKind, World, assert_refused, order, reference};

/// A request that is none: its reference code is not UTF-8.
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
async fn request_that_is_too_long_is_not_out_of_range() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = order(&code, PLAIN);
    request.product_code = "x".repeat(70 * 1024);
    let refused = client.purchase_prepaid(request).await;
    let reason = "REQUEST_TOO_LARGE";
    assert_refused(refused, Code::ResourceExhausted, reason, "maybe");
    // A watcher would take OUT_OF_RANGE for changes that are no longer kept.
    let request = WatchTransactionsRequest {
        cursor: "x".repeat(70 * 1024),
        ..WatchTransactionsRequest::default()
    };
    let refused = client.watch_transactions(request).await;
    assert_refused(refused, Code::ResourceExhausted, reason, "maybe");
    assert_eq!(world.ledger(&code).await.received, 0);
}

#[tokio::test]
async fn request_that_cannot_be_read_and_unknown_method_have_details() {
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
