//! A gateway and its sandbox as processes, and callers that buy as fast as they can.

use std::time::{Duration, Instant};

use futures::future::join_all;
use okebayar_gateway::grpc::v1::{
    PurchasePrepaidRequest, transaction_service_client::TransactionServiceClient,
};

use super::running::Running;

/// The number of connections of the callers.
const CONNECTIONS: usize = 8;

/// The purchases of callers in some time.
pub struct Bought {
    /// The time from the first call to the last answer, in seconds.
    pub seconds: f64,
    /// The time that each call took, ascending.
    pub latencies: Vec<Duration>,
}

impl Bought {
    /// Returns the number of purchases.
    pub fn count(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).expect("not so many"))
    }

    /// Returns the purchases per second.
    pub fn rate(&self) -> f64 {
        self.count() / self.seconds
    }
}

/// Starts a sandbox with a large deposit.
pub fn start_sandbox(binary: &str) -> Running {
    let arguments = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--userid",
        "bench",
        "--deposit",
        "1000000000000",
    ];
    let pin = [("OKEBAYAR_SANDBOX_PIN", "1234".to_owned())];
    Running::start(binary, &arguments, &pin, "sandbox", |_| {})
}

/// Starts a gateway in front of a sandbox. `settings` name its store.
pub fn start_gateway(binary: &str, sandbox: &str, settings: &[(&str, String)]) -> Running {
    let fixed = [
        ("GRPC__LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBACKS__LISTEN", "127.0.0.1:0".to_owned()),
        ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("LIMITS__SENDING", "512".to_owned()),
        ("ACCOUNTS__MAIN__URL", format!("http://{sandbox}/")),
        ("ACCOUNTS__MAIN__USERID", "bench".to_owned()),
        ("ACCOUNTS__MAIN__PIN", "1234".to_owned()),
    ];
    let prefixed = |(name, value): &(&str, String)| {
        let name = format!("OKEBAYAR_GATEWAY__{name}");
        (name, value.clone())
    };
    let mut variables: Vec<(String, String)> = fixed.iter().chain(settings).map(prefixed).collect();
    variables.push(("OTEL_METRICS_EXPORTER".to_owned(), "none".to_owned()));
    let variables: Vec<(&str, String)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    Running::start(binary, &["serve"], &variables, "grpc", |_| {})
}

/// Buys with so many callers for some time. `run` is unique among the runs on one store.
pub async fn buy(gateway: &Running, callers: usize, lasts: Duration, run: &str) -> Bought {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS.min(callers) {
        let client = TransactionServiceClient::connect(format!("http://{}", gateway.address)).await;
        clients.push(client.expect("it serves"));
    }
    let began = Instant::now();
    let calling = (0..callers).map(|caller| {
        let mut client = clients[caller % clients.len()].clone();
        let run = run.to_owned();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while began.elapsed() < lasts {
                let request = PurchasePrepaidRequest {
                    reference_code: format!("bench-{run}-{caller:03}-{:08}", latencies.len()),
                    product_code: "PULSA5".to_owned(),
                    account_number: "081234567890".to_owned(),
                    ..PurchasePrepaidRequest::default()
                };
                let called = Instant::now();
                let done = client.purchase_prepaid(request).await;
                done.expect("it is bought");
                latencies.push(called.elapsed());
            }
            latencies
        })
    });
    let calling: Vec<_> = calling.collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for called in join_all(calling).await {
        latencies.extend(called.expect("no call panics"));
    }
    let seconds = began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    Bought { seconds, latencies }
}
