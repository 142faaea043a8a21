//! Promise 17: the memory of one callback or answer is bounded, and so is that of all concurrent
//! ones.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use okebayar_gateway::grpc::v1::{PurchasePrepaidRequest, TransactionState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
};

use crate::support::{
    fake_okebayar::serve_later,
    process::CANARY_PIN,
    world::{Client, Gateway, PLAIN, StoreKind, WATER, World, order, question, reference},
};

/// The longest accepted callback and answer, in bytes.
const CALLBACK_BYTES: usize = 64 * 1024;
const ANSWER_BYTES: usize = 256 * 1024;
/// The permitted peak memory of the gateway, far below the chart's limit of 512 Mi.
const PEAK_KIB_MAX: u64 = 224 * 1024;

/// Builds one long name above as many leaves as are read; an earlier reader multiplied the two.
fn attack(length: usize, form: usize) -> String {
    let leaves = 500;
    let room = length - leaves * 6 - 200;
    let (long, half) = ("n".repeat(room), "n".repeat(room / 2));
    let elements = "<a/>".repeat(leaves);
    match form % 4 {
        0 => {
            let members = vec!["\"a\":0"; leaves].join(",");
            format!("{{\"{long}\":{{{members}}}}}")
        }
        1 => format!("\"<{half}>{elements}</{half}>\""),
        2 => {
            let items = vec!["0"; leaves].join(",");
            format!("{{\"{long}\":[{items}]}}")
        }
        // Texts of many characters that require an escape.
        _ => format!("\"{}\"", "\u{1}".repeat(room)),
    }
}

fn body(reference_code: &str, length: usize, form: usize) -> String {
    let data = attack(length, form);
    format!(
        "{{\"tracecode\":\"t\",\"referencecode\":\"{reference_code}\",\"status\":\"000\",\
         \"serialnumber\":\"1\",\"additionaldata\":{data}}}"
    )
}

fn peak_kib(gateway: &Gateway) -> u64 {
    status(gateway, "VmHWM:")
}

/// Returns a number from the status of the process.
fn status(gateway: &Gateway, name: &str) -> u64 {
    let status = format!("/proc/{}/status", gateway.process.pid());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with(name));
    let digits = line.unwrap().split_whitespace().nth(1);
    digits.unwrap().parse().unwrap()
}

/// Starts a gateway that accepts callbacks at any rate, and makes no scheduled checks.
async fn callback_gateway() -> (World, Gateway) {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("callbacks.rate_per_second", "100000")
        .set("store.timeout", "60s");
    let gateway = world.start_gateway().await;
    (world, gateway)
}

/// Lets many purchases be in flight or queued at once.
fn admit_many_purchases(world: &mut World) -> &mut World {
    world
        .check_rarely()
        .set("limits.sending", "64")
        .set("limits.queue_timeout", "60s")
        .set("store.timeout", "60s")
}

/// Buys with a deadline of five minutes, and returns the state.
async fn buy_patiently(client: &mut Client, wanted: PurchasePrepaidRequest) -> TransactionState {
    let mut request = tonic::Request::new(wanted);
    request.set_timeout(Duration::from_mins(5));
    let bought = client.purchase_prepaid(request).await.unwrap();
    bought.into_inner().transaction.unwrap().state()
}

#[tokio::test]
async fn concurrent_callbacks_use_bounded_memory() {
    let (world, gateway) = callback_gateway().await;
    let before = peak_kib(&gateway);
    // Connections idle for `callbacks.read_timeout` are closed, so none is reused.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0);
    let client = client.build().unwrap();
    for _ in 0..2 {
        let calls = (0..400).map(|number| {
            let body = body(&reference(), CALLBACK_BYTES, number);
            assert!(body.len() <= CALLBACK_BYTES);
            client.post(world.callback_url()).body(body).send()
        });
        for called in join_all(calls).await {
            assert_eq!(called.unwrap().status(), 200);
        }
    }
    let peak = peak_kib(&gateway);
    assert!(peak <= PEAK_KIB_MAX, "{before} KiB, then {peak} KiB");
}

/// Sends a callback without awaiting its answer.
async fn send_callback(port: u16, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /callbacks/main HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    stream
}

/// Closes a connection and returns once the gateway has closed it too.
async fn hang_up(mut stream: TcpStream) {
    // The gateway may have answered and closed it already.
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn aborted_callbacks_use_bounded_memory() {
    let (world, gateway) = callback_gateway().await;
    let (before, threads_before) = (peak_kib(&gateway), status(&gateway, "Threads:"));
    let bodies = [0, 3].map(|form| body(&reference(), CALLBACK_BYTES, form));
    for body in &bodies {
        let mut waiting = Vec::new();
        for _ in 0..400 {
            waiting.push(send_callback(world.callbacks_port, body).await);
        }
        // In order: an aborted callback is still being parsed while the next ones begin.
        while !waiting.is_empty() {
            let first = waiting.drain(..waiting.len().min(4));
            join_all(first.map(hang_up)).await;
        }
    }
    let client = reqwest::Client::new();
    let honest = body(&reference(), CALLBACK_BYTES, 0);
    let called = client.post(world.callback_url()).body(honest).send().await;
    assert_eq!(called.unwrap().status(), 200);
    // Each callback being parsed occupies a thread.
    let more = status(&gateway, "Threads:").saturating_sub(threads_before);
    assert!(more <= 32, "{more} more threads");
    let peak = peak_kib(&gateway);
    assert!(peak <= PEAK_KIB_MAX, "{before} KiB, then {peak} KiB");
}

#[tokio::test]
async fn longest_answers_of_many_accounts_use_bounded_memory() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let url = world.setting("accounts.main.url");
    admit_many_purchases(&mut world).set("default_account", "main");
    let accounts: Vec<String> = (0..24).map(|number| format!("shop{number}")).collect();
    for account in &accounts {
        let key = |leaf: &str| format!("accounts.{account}.{leaf}");
        world
            .set(&key("url"), &url)
            .set(&key("userid"), account)
            .set(&key("pin"), CANARY_PIN);
    }
    // Answer all requests in flight at once.
    let in_flight = Arc::new(Barrier::new(60));
    serve_later(world.sandbox_port, move |code| {
        let body = body(&code, ANSWER_BYTES, usize::from(code.as_bytes()[0]));
        let in_flight = Arc::clone(&in_flight);
        Box::pin(async move {
            in_flight.wait().await;
            Some(body)
        })
    })
    .await;
    let gateway = world.start_gateway().await;
    let before = peak_kib(&gateway);
    let client = gateway.client().await;
    let buying = (0..120).map(|number| {
        let mut client = client.clone();
        let mut asked = order(&reference(), PLAIN);
        asked.account.clone_from(&accounts[number % accounts.len()]);
        async move { buy_patiently(&mut client, asked).await }
    });
    let states = join_all(buying).await;
    assert!(
        states
            .iter()
            .all(|state| *state == TransactionState::Succeeded)
    );
    let peak = peak_kib(&gateway);
    assert!(peak <= PEAK_KIB_MAX, "{before} KiB, then {peak} KiB");
}

#[tokio::test]
async fn concurrent_longest_answers_use_bounded_memory() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    admit_many_purchases(&mut world);
    serve_later(world.sandbox_port, |code| {
        let form = usize::from(code.as_bytes()[0]);
        let body = body(&code, ANSWER_BYTES, form);
        assert!(body.len() <= ANSWER_BYTES);
        Box::pin(std::future::ready(Some(body)))
    })
    .await;
    let gateway = world.start_gateway().await;
    let before = peak_kib(&gateway);
    let client = gateway.client().await;
    let buying = (0..64).map(|_| {
        let mut client = client.clone();
        async move { buy_patiently(&mut client, order(&reference(), PLAIN)).await }
    });
    let states = join_all(buying).await;
    // An answer of any accepted length is believed.
    assert!(
        states
            .iter()
            .all(|state| *state == TransactionState::Succeeded)
    );
    let peak = peak_kib(&gateway);
    assert!(peak <= PEAK_KIB_MAX, "{before} KiB, then {peak} KiB");
    let inquiring = (0..16).map(|_| async {
        let asked = question(WATER, PLAIN);
        gateway.inquirer().await.inquire_postpaid(asked).await
    });
    assert!(join_all(inquiring).await.iter().all(Result::is_err));
    let peak = peak_kib(&gateway);
    assert!(peak <= PEAK_KIB_MAX, "{before} KiB, then {peak} KiB");
}

#[tokio::test]
async fn callback_with_too_many_fields_or_headers_is_rejected() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let client = reqwest::Client::new();
    let about = format!("referencecode={}&status=000", reference());
    let url = world.callback_url();
    for (names, status) in [(510, 200), (511, 400)] {
        let form = format!("{about}{}", "&a".repeat(names));
        let called = client.get(format!("{url}?{form}")).send().await.unwrap();
        assert_eq!(called.status(), status, "{names} in a query");
        let called = client.post(&url).body(form).send().await.unwrap();
        assert_eq!(called.status(), status, "{names} in a form");
    }
    for (length, is_taken) in [(32 * 1024, true), (80 * 1024, false)] {
        let long = format!("{url}?{about}&info={}", "x".repeat(length));
        // The gateway may reset the connection before the request is written.
        let called = client.get(long).send().await;
        let was_taken = called.is_ok_and(|answer| answer.status() == 200);
        assert_eq!(was_taken, is_taken, "{length}");
    }
    drop(gateway);
}
