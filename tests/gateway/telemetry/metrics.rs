//! Health, metrics, and the metric names that dashboards and alerts use.

use std::{collections::BTreeSet, path::Path};

use okebayar_gateway::grpc::v1::{
    EchoRequest, EchoResponse, GetBalanceRequest, WatchTransactionsRequest,
    WatchTransactionsResponse, account_service_client::AccountServiceClient,
};
use serde_json::Value;
use tokio::process::Command;
use tonic::{Code, Request, Streaming, transport::Channel};

use crate::support::{
    metrics::{admin, metrics_when, value},
    process::PATIENCE,
    world::{Gateway, PENDING_THEN_SUCCESS, PLAIN, StoreKind, World, buy, pay, reference},
};

async fn world() -> (World, Gateway) {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("telemetry.census_interval", "100ms");
    let gateway = world.start_gateway().await;
    (world, gateway)
}

/// Triggers every measured event; returns the values that must not become labels, and a watch that
/// is still open.
async fn make_everything_happen(
    gateway: &Gateway,
) -> (Vec<String>, Streaming<WatchTransactionsResponse>) {
    let mut client = gateway.client().await;
    let watching = client
        .watch_transactions(WatchTransactionsRequest::default())
        .await;
    let mut updates = watching.unwrap().into_inner();
    let code = reference();
    let first = buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    let settled = gateway.until_final(&code).await;
    let contradicted = reference();
    buy(&mut client, &contradicted, "080000000025").await;
    let bill = gateway.bill("HPDAM", PLAIN).await;
    pay(&mut client, &reference(), &bill).await.unwrap();
    let mut accounts = AccountServiceClient::connect(format!("http://{}", gateway.grpc))
        .await
        .unwrap();
    accounts
        .get_balance(GetBalanceRequest::default())
        .await
        .unwrap();
    while updates
        .message()
        .await
        .unwrap()
        .unwrap()
        .transaction
        .is_none_or(|one| one.reference_code != code)
    {}
    let codes = [first.trace_code, settled.serial_number, bill.inquiry_code];
    let forbidden = [vec![code, contradicted, PLAIN.to_owned()], codes.to_vec()].concat();
    (forbidden, updates)
}

const CONTRADICTIONS: &str = "okebayar_transaction_contradictions_total";

#[tokio::test]
async fn metrics_cover_every_event_with_bounded_labels() {
    let (world, gateway) = world().await;
    let (forbidden, _watcher) = make_everything_happen(&gateway).await;
    metrics_when(&gateway, CONTRADICTIONS, 1.0).await;
    metrics_when(
        &gateway,
        "okebayar_transaction_open{state=\"NEEDS_REVIEW\"",
        1.0,
    )
    .await;
    let metrics = metrics_when(
        &gateway,
        "okebayar_transaction_unresolved{age=\"below_1m\"",
        1.0,
    )
    .await;
    for (series, expected) in [
        (
            "okebayar_replays_total{okebayar_operation=\"purchase_prepaid\"",
            1.0,
        ),
        ("okebayar_callbacks_total{result=\"known\"", 2.0),
        ("okebayar_store_healthy", 1.0),
        ("okebayar_watchers{kind=\"all\"", 1.0),
        ("okebayar_queue_waiting", 0.0),
        ("okebayar_build_info{version=", 1.0),
    ] {
        let found = value(&metrics, series).unwrap_or_else(|| panic!("{series} in\n{metrics}"));
        assert!((found - expected).abs() < 0.5, "{series}: {found}");
    }
    for series in [
        "rpc_server_call_duration_seconds_count{rpc_method=\"okebayar.gateway.v1.TransactionService/PurchasePrepaid\",rpc_response_status_code=\"OK\"",
        "okebayar_operation_duration_seconds_count{okebayar_account=\"main\",okebayar_operation=\"purchase\",okebayar_result=\"pending\"",
        "okebayar_operation_duration_seconds_count{okebayar_account=\"main\",okebayar_operation=\"payment\",okebayar_result=\"success\"",
        "okebayar_transaction_transitions_total{from=\"SENDING\",okebayar_operation=\"pay_postpaid\",to=\"SUCCEEDED\"",
        "okebayar_transaction_settlement_duration_seconds_count{okebayar_operation=\"purchase_prepaid\",state=\"SUCCEEDED\"",
        "okebayar_checks_total{okebayar_account=\"main\",result=\"learnt\"",
        "okebayar_store_operation_duration_seconds_count{operation=\"commit\",result=\"ok\"",
        "okebayar_watch_lag_seconds_count",
        "process_resident_memory_bytes",
    ] {
        assert!(
            value(&metrics, series).is_some_and(|count| count >= 1.0),
            "{series} in\n{metrics}"
        );
    }
    let deposit = value(
        &metrics,
        "okebayar_deposit_balance{okebayar_account=\"main\"",
    )
    .unwrap();
    assert!(deposit > 0.0 && deposit < 1_000_000_000.0, "{deposit}");
    for code in forbidden {
        assert!(!metrics.contains(&code), "{code} is in the metrics");
    }
    drop(world);
}

#[tokio::test]
async fn unknown_method_paths_share_one_label() {
    let (_world, gateway) = world().await;
    let channel = Channel::from_shared(format!("http://{}", gateway.grpc)).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    for number in 0..3 {
        client.ready().await.unwrap();
        let path = format!("/made.up.Service/Method{number}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<EchoRequest, EchoResponse>::default();
        let request = Request::new(EchoRequest::default());
        let status = client.unary(request, path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let series = "rpc_server_call_duration_seconds_count{rpc_method=\"unknown\",rpc_response_status_code=\"UNIMPLEMENTED\"";
    let metrics = metrics_when(&gateway, series, 3.0).await;
    assert!(!metrics.contains("made.up"), "{metrics}");
}

#[tokio::test]
async fn readiness_names_failing_component() {
    let (mut world, mut gateway) = world().await;
    assert_eq!(admin(&gateway, "/healthz").await, (200, "alive\n".into()));
    assert_eq!(admin(&gateway, "/readyz").await, (200, "ready\n".into()));
    world.redis.as_mut().unwrap().kill().await;
    let until = async |wanted: u16| {
        let found = async {
            loop {
                let (status, text) = admin(&gateway, "/readyz").await;
                if status == wanted {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("the expected metrics never appeared")
    };
    let problem = until(503).await;
    assert!(
        problem.starts_with("store: the store is unavailable"),
        "{problem}"
    );
    assert_eq!(
        admin(&gateway, "/healthz").await.0,
        200,
        "the gateway must stay alive"
    );
    let (_, metrics) = admin(&gateway, "/metrics").await;
    assert_eq!(value(&metrics, "okebayar_store_healthy"), Some(0.0));
    world.redis.as_mut().unwrap().start_again().await;
    assert_eq!(until(200).await, "ready\n");
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

fn chart(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("helm/okebayar-gateway")
        .join(path)
}

/// Returns the metric names in an expression: words that are called, compared or filtered, and
/// neither functions, labels nor texts.
fn names(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut word = String::new();
    let mut in_text = false;
    for c in expression.chars().chain([' ']) {
        if c == '"' {
            in_text = !in_text;
        }
        if !in_text && (c.is_ascii_alphanumeric() || c == '_') {
            word.push(c);
            continue;
        }
        let word = std::mem::take(&mut word);
        let is_metric = ["okebayar_", "rpc_server_", "process_"]
            .iter()
            .any(|start| word.starts_with(start));
        let is_label =
            ["okebayar_account", "okebayar_operation", "okebayar_result"].contains(&word.as_str());
        if is_metric && !is_label {
            names.insert(word);
        }
    }
    names
}

#[tokio::test]
async fn panels_and_alerts_use_existing_metrics() {
    let (_world, gateway) = world().await;
    drop(make_everything_happen(&gateway).await);
    let metrics = metrics_when(&gateway, CONTRADICTIONS, 1.0).await;
    let mut expressions =
        vec![std::fs::read_to_string(chart("rules/okebayar-gateway.yaml")).unwrap()];
    let mut panels = 0;
    for entry in std::fs::read_dir(chart("dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            panels += 1;
            for target in panel["targets"].as_array().unwrap() {
                expressions.push(target["expr"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(panels > 20, "{panels}");
    let named: BTreeSet<String> = expressions.iter().flat_map(|one| names(one)).collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let is_there = metrics.lines().any(|line| {
            line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))
        });
        assert!(is_there, "{name} is not exposed");
    }
}

#[tokio::test]
async fn alerts_pass_their_unit_tests() {
    let rules = chart("rules/okebayar-gateway.yaml");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts_test.yaml");
    let tests = std::fs::read_to_string(tests).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts_test.yaml");
    std::fs::write(&file, tests.replace("RULES", rules.to_str().unwrap())).unwrap();
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let about = if arguments[0] == "check" {
            &rules
        } else {
            &file
        };
        let output = Command::new("promtool")
            .args(arguments)
            .arg(about)
            .output()
            .await;
        let output = output.expect("promtool is missing: run `make tools`");
        let printed =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
    }
}
