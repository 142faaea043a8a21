//! Measures the CPU time and the bytes of log that a purchase costs the gateway, with all traces
//! exported, with one in ten, and with none. It reports each cost relative to no traces in one run.
//!
//! Run it with `cargo bench --bench tracing_cost`. The gateway and the sandbox are separate
//! processes and the collector is a task of the benchmark; only the gateway's CPU time counts.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use okebayar_gateway::grpc::v1::{
    PurchasePrepaidRequest, transaction_service_client::TransactionServiceClient,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

#[path = "support/running.rs"]
mod running;

use running::Running;

const BINARY: &str = env!("CARGO_BIN_EXE_okebayar-gateway");
const WARM_UP: u32 = 200;
const CALLS: u32 = 2000;
/// The number of rounds. Each round measures every setting once, and the minimum counts: other load
/// on the machine can only add to it.
const ROUNDS: usize = 3;

/// A collector that discards all spans.
struct Sink;

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        _request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Returns the CPU time in microseconds and the bytes of log for each purchase.
async fn measure(sampler: Option<&str>, sandbox: &str, collector: &str, store: &str) -> (f64, f64) {
    let mut variables = vec![
        ("OKEBAYAR_GATEWAY__GRPC__LISTEN", "127.0.0.1:0".to_owned()),
        (
            "OKEBAYAR_GATEWAY__CALLBACKS__LISTEN",
            "127.0.0.1:0".to_owned(),
        ),
        ("OKEBAYAR_GATEWAY__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("OKEBAYAR_GATEWAY__STORE__PATH", store.to_owned()),
        (
            "OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__URL",
            format!("http://{sandbox}/"),
        ),
        (
            "OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__USERID",
            "bench".to_owned(),
        ),
        ("OKEBAYAR_GATEWAY__ACCOUNTS__MAIN__PIN", "1234".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
    ];
    match sampler {
        None => variables.push(("OTEL_TRACES_SAMPLER", "always_off".to_owned())),
        Some(ratio) => variables.extend([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()),
        ]),
    }
    let logged = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&logged);
    let count = move |line: &str| {
        counting.fetch_add(line.len() + 1, Ordering::Relaxed);
    };
    let gateway = Running::start(BINARY, &["serve"], &variables, "grpc", count);
    let url = format!("http://{}", gateway.address);
    let mut client = TransactionServiceClient::connect(url)
        .await
        .expect("it serves");
    let (mut cpu, mut written) = (0.0, 0);
    for number in 0..WARM_UP + CALLS {
        if number == WARM_UP {
            cpu = gateway.cpu_seconds();
            written = logged.load(Ordering::Relaxed);
        }
        let request = PurchasePrepaidRequest {
            reference_code: format!("bench-{number:08}"),
            product_code: "PULSA5".to_owned(),
            account_number: "081234567890".to_owned(),
            ..PurchasePrepaidRequest::default()
        };
        client
            .purchase_prepaid(request)
            .await
            .expect("it is bought");
    }
    let calls = f64::from(CALLS);
    let cpu = gateway.cpu_seconds() - cpu;
    let written = logged.load(Ordering::Relaxed) - written;
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
    let bytes = written as f64 / calls;
    (cpu / calls * 1e6, bytes)
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("tokio needs it");
    let collector = listener.local_addr().expect("it is bound").to_string();
    let listener = tokio::net::TcpListener::from_std(listener).expect("tokio takes it");
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Sink));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let settings = [("none", None), ("0.1", Some("0.1")), ("1.0", Some("1.0"))];
    let mut least = [(f64::MAX, 0.0); 3];
    for _ in 0..ROUNDS {
        for (number, (_, sampler)) in settings.iter().enumerate() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let arguments = [
                "sandbox",
                "--listen",
                "127.0.0.1:0",
                "--userid",
                "bench",
                "--deposit",
                "1000000000",
            ];
            let pin = [("OKEBAYAR_SANDBOX_PIN", "1234".to_owned())];
            let sandbox = Running::start(BINARY, &arguments, &pin, "sandbox", |_| {});
            let store = folder.path().join("store.redb").display().to_string();
            let (cpu, bytes) = measure(*sampler, &sandbox.address, &collector, &store).await;
            if cpu < least[number].0 {
                least[number] = (cpu, bytes);
            }
        }
    }
    println!("sampled   CPU a call   ratio   log a call");
    for ((name, _), (cpu, bytes)) in settings.iter().zip(least) {
        let ratio = cpu / least[0].0;
        println!("{name:<9} {cpu:>7.0} us   {ratio:>5.2}   {bytes:>5.0} B");
    }
}
