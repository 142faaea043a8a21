//! A connection that reaches its age gets a GOAWAY: no call in flight is cut, and callers move on.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper_util::{client::legacy, rt::TokioExecutor};
use okebayar_gateway::grpc::v1::{
    GetTransactionRequest, WatchTransactionsRequest, get_transaction_request::Code as Named,
    transaction_service_client::TransactionServiceClient,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    process::PATIENCE,
    world::{
        Client, Gateway, PLAIN, SLOW, StoreKind, World, assert_succeeded, bought, buy, get, order,
        reference, start_purchase,
    },
};

/// The number of callers on one client.
const CALLERS: usize = 8;
/// The number of connections that they use one after another.
const CONNECTIONS: usize = 12;

/// A relay to a gateway that counts the connections of its clients.
struct Relay {
    url: String,
    opened: Arc<AtomicUsize>,
}

impl Relay {
    async fn start(gateway: &Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (to, opened) = (gateway.grpc, Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&opened);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut gateway = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut gateway).await;
                });
            }
        });
        Self { url, opened }
    }

    async fn client(&self) -> Client {
        let channel = Channel::from_shared(self.url.clone()).unwrap();
        Client::new(channel.connect().await.unwrap())
    }

    fn has_opened(&self, count: usize) -> bool {
        self.opened.load(Ordering::SeqCst) >= count
    }
}

async fn world(connection_age: &str) -> World {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    // A slow purchase takes longer than several connections.
    world.start_slow_sandbox("2s").await;
    world.set("limits.connection_age", connection_age);
    world
}

#[tokio::test]
async fn no_call_fails_over_goaway() {
    let world = world("200ms").await;
    let gateway = world.start_gateway().await;
    let relay = Arc::new(Relay::start(&gateway).await);
    let known = reference();
    buy(&mut gateway.client().await, &known, PLAIN).await;
    let mut http = legacy::Client::builder(TokioExecutor::new());
    let http = http.http2_only(true).build_http();
    let origin = relay.url.parse().unwrap();
    let client = TransactionServiceClient::with_origin(http, origin);
    let request = GetTransactionRequest {
        code: Some(Named::ReferenceCode(known)),
        ..GetTransactionRequest::default()
    };
    let code = reference();
    let slow = {
        let (mut client, order) = (client.clone(), order(&code, SLOW));
        tokio::spawn(async move { client.purchase_prepaid(order).await })
    };
    let calling = (0..CALLERS).map(|_| {
        let (mut client, relay, request) = (client.clone(), Arc::clone(&relay), request.clone());
        tokio::spawn(async move {
            while !relay.has_opened(CONNECTIONS) {
                client.get_transaction(request.clone()).await.unwrap();
            }
        })
    });
    for caller in calling.collect::<Vec<_>>() {
        let called = tokio::time::timeout(PATIENCE, caller).await;
        called.expect("no GOAWAY moved the client").unwrap();
    }
    let answer = slow.await.unwrap().unwrap().into_inner();
    assert!(!answer.replayed);
    assert_succeeded(&bought(answer));
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Returns true for a request that tonic's channel never sent: hyper drops what it has queued for a
/// connection that gets a GOAWAY, and tonic, other than the gRPC libraries, does not repeat it.
fn was_never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return status.code() == Code::Cancelled && error.is_canceled();
        }
        source = error.source();
    }
    false
}

#[tokio::test]
async fn channel_of_tonic_loses_no_sent_purchase_over_goaway() {
    let world = world("200ms").await;
    let gateway = world.start_gateway().await;
    let relay = Arc::new(Relay::start(&gateway).await);
    let client = relay.client().await;
    let code = reference();
    let slow = start_purchase(client.clone(), order(&code, SLOW));
    let buying = (0..CALLERS).map(|_| {
        let (mut client, relay) = (client.clone(), Arc::clone(&relay));
        tokio::spawn(async move {
            while !relay.has_opened(CONNECTIONS) {
                let code = reference();
                let answer = loop {
                    match client.purchase_prepaid(order(&code, PLAIN)).await {
                        Ok(answer) => break answer.into_inner(),
                        Err(status) => assert!(was_never_sent(&status), "{status:?}"),
                    }
                };
                // The gateway has received it once, so it cut no call.
                assert!(!answer.replayed, "{code}");
                assert_succeeded(&bought(answer));
            }
        })
    });
    for buyer in buying.collect::<Vec<_>>() {
        let done = tokio::time::timeout(PATIENCE, buyer).await;
        done.expect("no GOAWAY moved the client").unwrap();
    }
    let answer = slow.await.unwrap().unwrap().into_inner();
    assert!(!answer.replayed);
    assert_succeeded(&bought(answer));
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn watch_outlives_its_connection() {
    let world = world("300ms").await;
    let gateway = world.start_gateway().await;
    let relay = Relay::start(&gateway).await;
    let mut client = relay.client().await;
    let watching = client.watch_transactions(WatchTransactionsRequest::default());
    let mut updates = watching.await.unwrap().into_inner();
    updates.message().await.unwrap().unwrap();
    // Calls are on another connection once the first one has got its GOAWAY.
    let moved = async {
        while !relay.has_opened(2) {
            let status = get(&mut client, &reference()).await.unwrap_err();
            assert!(status.code() == Code::NotFound || was_never_sent(&status));
        }
    };
    let moved = tokio::time::timeout(PATIENCE, moved).await;
    moved.expect("no GOAWAY moved the client");
    let code = reference();
    buy(&mut gateway.client().await, &code, PLAIN).await;
    let mut revisions = Vec::new();
    while revisions.len() < 2 {
        let update = updates.message().await.unwrap().expect("the stream ended");
        // A heartbeat has none.
        if let Some(transaction) = update.transaction {
            assert_eq!(transaction.reference_code, code);
            revisions.push(transaction.revision);
        }
    }
    assert_eq!(revisions, [1, 2]);
}
