//! One purchase is one trace: an OTLP receiver in the test collects the spans of two gateways.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{Router, body::Bytes, extract::State as AxumState, routing::post};
use okebayar_gateway::grpc::v1::{TransactionState, WatchTransactionRequest};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use crate::support::{
    ports,
    process::PATIENCE,
    world::{Gateway, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, buy, order, reference},
};

/// The received telemetry, each span with the name of its service instance.
#[derive(Clone)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    count: watch::Sender<usize>,
    /// Names of metrics, each with its unit.
    metrics: watch::Sender<BTreeMap<String, String>>,
}

impl Collector {
    fn take(&self, request: ExportTraceServiceRequest) {
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        let mut spans = self.spans.lock().unwrap();
        spans.extend(scopes.flat_map(|scope| scope.spans));
        self.count.send_replace(spans.len());
    }

    fn take_metrics(&self, request: ExportMetricsServiceRequest) {
        let resources = request.resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        let metrics: Vec<_> = scopes.flat_map(|scope| scope.metrics).collect();
        self.metrics.send_modify(|known| {
            known.extend(metrics.into_iter().map(|metric| (metric.name, metric.unit)));
        });
    }

    /// Waits until `enough` accepts the spans, and returns them.
    async fn when(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut changes = self.count.subscribe();
        let found = async {
            loop {
                let spans = self.spans.lock().unwrap().clone();
                if enough(&spans) {
                    return spans;
                }
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| {
            let spans = self.spans.lock().unwrap();
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            panic!("the expected spans never arrived: {names:?}")
        })
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take_metrics(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

async fn metrics_over_http(AxumState(collector): AxumState<Collector>, body: Bytes) -> Vec<u8> {
    collector.take_metrics(ExportMetricsServiceRequest::decode(body).unwrap());
    ExportMetricsServiceResponse::default().encode_to_vec()
}

async fn over_http(AxumState(collector): AxumState<Collector>, body: Bytes) -> Vec<u8> {
    collector.take(ExportTraceServiceRequest::decode(body).unwrap());
    ExportTraceServiceResponse::default().encode_to_vec()
}

/// Starts a receiver for one protocol and points a world's gateways at it.
async fn collect(world: &mut World, protocol: &str) -> Collector {
    let collector = Collector {
        spans: Arc::default(),
        count: watch::Sender::new(0),
        metrics: watch::Sender::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    if protocol == "grpc" {
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    } else {
        let router = Router::new()
            .route("/v1/traces", post(over_http))
            .route("/v1/metrics", post(metrics_over_http))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    point_at(world, protocol, &format!("http://{address}"));
    collector
}

fn point_at(world: &mut World, protocol: &str, endpoint: &str) {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ] {
        world.variables.push((name.into(), value.into()));
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: &'_ opentelemetry_proto::tonic::common::v1::KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        value.map_or_else(String::new, text)
    };
    span.attributes
        .iter()
        .map(|attribute| (attribute.key.as_str(), pair(attribute)))
        .collect()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Buys within the trace of a caller.
async fn buy_in_trace(gateway: &Gateway, code: &str, account_number: &str) {
    let mut request = Request::new(order(code, account_number));
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", traceparent.parse().unwrap());
    metadata.insert("tracestate", "vendor=1".parse().unwrap());
    gateway
        .client()
        .await
        .purchase_prepaid(request)
        .await
        .unwrap();
}

const PURCHASE: &str = "okebayar.gateway.v1.TransactionService/PurchasePrepaid";
const CALLBACK: &str = "POST /callbacks/{account}";
const WATCH: &str = "okebayar.gateway.v1.TransactionService/WatchTransaction";

/// Asserts that later work on another gateway is a trace of its own that links to the call.
fn assert_linked(spans: &[Span], purchase: &Span) {
    for name in [CALLBACK, "callback", "check", WATCH] {
        let later = spans.iter().find(|span| span.name == name).unwrap();
        assert_ne!(later.trace_id, purchase.trace_id, "{name}");
        let links: Vec<_> = later
            .links
            .iter()
            .map(|link| (&link.trace_id, &link.span_id))
            .collect();
        assert_eq!(links, [(&purchase.trace_id, &purchase.span_id)], "{name}");
    }
    let callback = spans.iter().find(|span| span.name == CALLBACK).unwrap();
    let about = attributes(callback);
    assert_eq!(callback.kind(), SpanKind::Server);
    assert_eq!(about["http.request.method"], "POST");
    assert_eq!(about["http.route"], "/callbacks/{account}");
    assert_eq!(about["http.response.status_code"], "200");
}

/// Asserts the attributes of the POST to OKEBAYAR and of the commits.
fn assert_attributes(ours: &[&Span], code: &str, sandbox_port: u16) {
    let post = ours.iter().find(|span| span.name == "POST").unwrap();
    let about = attributes(post);
    assert_eq!(post.kind(), SpanKind::Client);
    assert_eq!(about["http.request.method"], "POST");
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["server.address"], "127.0.0.1");
    assert_eq!(about["server.port"], sandbox_port.to_string());
    assert_eq!(about["okebayar.transactioncode"], "OkeBayar-prabayar");
    assert_eq!(about["okebayar.productcode"], "PULSA10");
    assert_eq!(about["okebayar.account"], "main");
    assert_eq!(about["okebayar.status"], "002");
    let save = ours.iter().find(|span| span.name == "save").unwrap();
    let about = attributes(save);
    assert_eq!(about["okebayar.referencecode"], code);
    assert_eq!(about["okebayar.state.before"], "SENDING");
    assert_eq!(about["okebayar.state.after"], "PENDING");
    let commit = ours.iter().find(|span| span.name == "commit").unwrap();
    let about = attributes(commit);
    assert_eq!(commit.kind(), SpanKind::Client);
    assert_eq!(
        (
            about["db.system.name"].as_str(),
            about["db.operation.name"].as_str()
        ),
        ("redis", "commit")
    );
}

async fn assert_one_trace(protocol: &str) {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let collector = collect(&mut world, protocol).await;
    // Callbacks reach the first gateway; the second one buys and watches.
    let called_back = world.start_gateway().await;
    let mut buying = world.start_replica().await;
    let code = reference();
    buy_in_trace(&buying, &code, PENDING_THEN_SUCCESS).await;
    let request = WatchTransactionRequest {
        reference_code: code.clone(),
        ..WatchTransactionRequest::default()
    };
    let mut client = buying.client().await;
    let mut updates = client
        .watch_transaction(request)
        .await
        .unwrap()
        .into_inner();
    while updates.message().await.unwrap().is_some() {}
    let spans = collector
        .when(|spans| {
            let has = |name: &str| spans.iter().any(|span| span.name == name);
            [PURCHASE, WATCH, CALLBACK, "callback", "check"]
                .into_iter()
                .all(has)
        })
        .await;
    let one = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no span {name}"));
        (first, attributes(first))
    };

    // The call belongs to the caller's trace, and its spans are descendants of the call.
    let (purchase, about) = one(PURCHASE);
    assert_eq!(hex::encode(&purchase.trace_id), TRACE);
    assert_eq!(hex::encode(&purchase.parent_span_id), PARENT);
    assert_eq!(purchase.kind(), SpanKind::Server);
    assert_eq!(about["rpc.system.name"], "grpc");
    assert_eq!(about["rpc.method"], PURCHASE);
    assert_eq!(about["rpc.response.status_code"], "OK");
    let ours: Vec<&Span> = spans
        .iter()
        .filter(|span| span.trace_id == purchase.trace_id)
        .collect();
    let ids: BTreeSet<&[u8]> = ours.iter().map(|span| span.span_id.as_slice()).collect();
    for span in &ours {
        let is_root = span.span_id == purchase.span_id;
        assert!(
            is_root || ids.contains(span.parent_span_id.as_slice()),
            "{}",
            span.name
        );
    }
    let names: BTreeSet<&str> = ours.iter().map(|span| span.name.as_str()).collect();
    for name in ["claim", "send", "POST", "fold", "save", "commit"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert_attributes(&ours, &code, world.sandbox_port);
    assert_linked(&spans, purchase);
    // The settling check commits within its own trace.
    let (check, _) = one("check");
    let settled = spans.iter().any(|span| {
        span.trace_id == check.trace_id
            && attributes(span)
                .get("okebayar.state.after")
                .map(String::as_str)
                == Some("SUCCEEDED")
    });
    assert!(settled);

    // No span holds a secret, and log lines carry the trace ids.
    let everything = format!("{spans:?}");
    let bought = crate::support::world::get(&mut client, &code)
        .await
        .unwrap();
    for secret in [
        crate::support::process::CANARY_PIN,
        &bought.serial_number,
        PENDING_THEN_SUCCESS,
        crate::support::world::USER_ID,
    ] {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert!(
        buying
            .process
            .text()
            .contains(&format!("\"trace_id\":\"{TRACE}\""))
    );
    let checked = hex::encode(&check.trace_id);
    let logs = [called_back.process.text(), buying.process.text()].concat();
    assert!(
        logs.contains(&checked),
        "the log line of the outcome must carry the check's trace"
    );
    buying.process.kill().await;
}

#[tokio::test]
async fn unreadable_status_is_logged_as_constant() {
    for format in crate::support::calls::FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.check_rarely().set("accounts.main.format", format);
        let collector = collect(&mut world, "http/protobuf").await;
        let mut gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let text = "token 5555-6666 of BUDI SANTOSO ";
        for (status, shown) in [(text.repeat(1000), "_OTHER"), ("204".to_owned(), "204")] {
            let fields = serde_json::json!({ "transactionstatus": status });
            world.misprint(PLAIN, fields.to_string()).await;
            buy(&mut client, &reference(), PLAIN).await;
            let is_shown = |span: &Span| {
                let found = attributes(span);
                found
                    .get("okebayar.status")
                    .is_some_and(|code| code == shown)
            };
            let spans = collector.when(|spans| spans.iter().any(is_shown)).await;
            let everything = format!("{spans:?}");
            assert!(
                !everything.contains("BUDI"),
                "{format}: a status is in a span"
            );
        }
        gateway.process.add_secret("BUDI".to_owned());
        gateway.process.kill().await;
    }
}

#[tokio::test]
async fn failure_marks_its_span_as_error() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let collector = collect(&mut world, "grpc").await;
    let gateway = world.start_gateway().await;
    let request = order(&reference(), PLAIN);
    let refused = gateway.client().await.purchase_prepaid(request).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);
    let spans = collector
        .when(|spans| spans.iter().any(|span| span.name == PURCHASE))
        .await;
    for (name, attribute, value) in [
        (PURCHASE, "rpc.response.status_code", "UNAVAILABLE"),
        ("POST", "error.type", "unreachable"),
    ] {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let status = span.status.as_ref().unwrap();
        assert_eq!(status.code(), StatusCode::Error, "{name}");
        assert_eq!(attributes(span)[attribute], value);
    }
}

#[tokio::test]
async fn purchase_settled_by_another_replica_is_one_trace_over_grpc() {
    assert_one_trace("grpc").await;
}

#[tokio::test]
async fn purchase_settled_by_another_replica_is_one_trace_over_http() {
    assert_one_trace("http/protobuf").await;
}

const CALLS: u32 = 1500;
/// The greatest memory of a gateway whose exports all fail.
const RESIDENT_KIB_MAX: u64 = 400 * 1024;

#[tokio::test]
async fn unreachable_collector_affects_neither_calls_nor_memory() {
    let mut world = World::new(StoreKind::Redis).await;
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    point_at(&mut world, "grpc", &nobody);
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let began = Instant::now();
    for _ in 0..CALLS {
        let bought = buy(&mut client, &reference(), PLAIN).await;
        assert_eq!(bought.state(), TransactionState::Succeeded);
    }
    // This would take hours if each call waited for the exporter's time-out.
    assert!(began.elapsed() < PATIENCE * 3, "{:?}", began.elapsed());
    // Dropped spans are counted.
    let url = format!("http://{}/metrics", gateway.admin);
    let counted = async {
        loop {
            let metrics = reqwest::get(&url).await.unwrap().text().await.unwrap();
            let of = |result: &str| {
                let series = format!("okebayar_telemetry_spans_total{{result=\"{result}\"}} ");
                let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
                line.map_or(0.0, |count| count.parse::<f64>().unwrap())
            };
            if of("failed") > 0.0 {
                return (of("ended"), of("exported"));
            }
            tokio::task::yield_now().await;
        }
    };
    let (ended, exported) = tokio::time::timeout(PATIENCE, counted).await.unwrap();
    assert!(
        ended >= 10.0 * f64::from(CALLS) && exported == 0.0,
        "{ended} {exported}"
    );
    let resident = gateway.process.resident_kib();
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

#[tokio::test]
async fn metrics_are_exported_over_grpc_and_http() {
    for protocol in ["grpc", "http/protobuf"] {
        let mut world = World::new(StoreKind::Embedded).await;
        let collector = collect(&mut world, protocol).await;
        let gateway = world.start_gateway().await;
        buy(&mut gateway.client().await, &reference(), PLAIN).await;
        let mut metrics = collector.metrics.subscribe();
        let has_all = |known: &BTreeMap<String, String>| {
            known
                .get("rpc.server.call.duration")
                .is_some_and(|unit| unit == "s")
                && known.contains_key("okebayar.transaction.transitions")
                && known.contains_key("okebayar.store.operation.duration")
        };
        let came = tokio::time::timeout(PATIENCE, metrics.wait_for(has_all)).await;
        came.unwrap_or_else(|_| panic!("{protocol}: {:?}", collector.metrics.borrow()))
            .unwrap();
    }
}

#[tokio::test]
async fn info_log_of_purchase_is_short() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let before = gateway.process.text().len();
    let calls = 50;
    for _ in 0..calls {
        buy(&mut client, &reference(), PLAIN).await;
    }
    gateway.process.kill().await;
    let bytes = (gateway.process.text().len() - before) / calls;
    assert!((1..1024).contains(&bytes), "{bytes} bytes a call");
    println!("{bytes} bytes of log a call");
}
