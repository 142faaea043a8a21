//! Payments, and the connection to the sandbox that a test closes.

use okebayar_gateway::grpc::v1::{
    Inquiry, ResolveTransactionRequest, TransactionResolution, TransactionState,
};

use crate::support::{
    ports,
    world::{Client, World},
};

/// The fields that a payment copies verbatim from its inquiry.
pub const VERBATIM_FIELDS: [&str; 11] = [
    "productcode",
    "accnumber1",
    "accnumber2",
    "accnumber3",
    "contactnumber",
    "nominal",
    "adminfee",
    "ref1",
    "ref2",
    "ref3",
    "inquirycode",
];

/// Asserts that the ledger's payment equals its inquiry.
pub async fn assert_verbatim(world: &World, code: &str, inquiry: &Inquiry, but: &[&str]) {
    let inquired = world
        .ask_sandbox(&format!("inquiry/{}", inquiry.inquiry_code))
        .await;
    let ledger = world.ledger(code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    for name in VERBATIM_FIELDS.iter().filter(|name| !but.contains(name)) {
        assert_eq!(ledger.parameters[name], inquired[name], "{name}");
        assert!(inquired[name].is_string(), "{name}");
    }
}

/// A proxy before the sandbox. Closed, it refuses connections.
pub struct SandboxProxy {
    from: u16,
    to: u16,
    open: Option<tokio::task::JoinHandle<()>>,
}

impl SandboxProxy {
    /// Creates a closed proxy before a world's sandbox and configures the gateway to use it.
    pub fn to_sandbox(world: &mut World) -> Self {
        let proxy = Self {
            from: ports::free(),
            to: world.sandbox_port,
            open: None,
        };
        let url = format!("http://127.0.0.1:{}/", proxy.from);
        world.set("accounts.main.url", &url);
        proxy
    }

    pub async fn open(&mut self) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.from)).await;
        let (listener, to) = (listener.unwrap(), self.to);
        self.open = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(("127.0.0.1", to))
                        .await
                        .unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }

    /// Closes the proxy and waits until its port refuses connections.
    pub async fn close(&mut self) {
        let open = self.open.take().unwrap();
        open.abort();
        let _ = open.await;
    }
}

pub async fn resolve_failed(client: &mut Client, code: &str, revision: i64) {
    let request = ResolveTransactionRequest {
        reference_code: code.to_owned(),
        revision,
        resolution: TransactionResolution::Failed.into(),
        operator: "test".into(),
        note: "the other one paid".into(),
        ..ResolveTransactionRequest::default()
    };
    let resolved = client.resolve_transaction(request).await.unwrap();
    let resolved = resolved.into_inner().transaction.unwrap();
    assert_eq!(resolved.state(), TransactionState::Failed);
}
