//! Design section 6: an upstream that closes idle connections at the worst moments. Nothing is sent
//! twice, and the ledger equals the answers to the callers. Only HTTP/1.1 is offered to OKEBAYAR;
//! `src/okebayar/transport.rs` tests that no protocol error is retried.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::grpc::v1::{Transaction, TransactionReason, TransactionState, WaitUntil};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::support::{
    process::PATIENCE,
    world::{Client, PLAIN, StoreKind, World, bought, order, reference, start_purchase},
};

const PURCHASES: usize = 10_000;
const AT_ONCE: usize = 64;

/// The number of complete purchases received per reference code.
type Ledger = Arc<Mutex<HashMap<String, u32>>>;

/// Counts of requests and closings that show that the test covered the hard cases.
#[derive(Default)]
struct Seen {
    /// Requests on a connection that had already carried one.
    on_reused: AtomicUsize,
    /// Connections closed after the first byte of a request.
    closed_under_request: AtomicUsize,
}

/// The moment at which the server closes a connection, by the numbers of its requests and of the
/// connection.
enum Closing {
    /// Not yet.
    KeepAlive,
    /// Immediately after the answer, which did not announce it.
    AfterAnswer,
    /// Shortly after the answer, while the next request may be in flight.
    Later(Duration),
    /// After the first byte of the next request.
    AtFirstByte,
}

fn closing(connection: usize, request: usize) -> Closing {
    match (connection * 31 + request * 7) % 9 {
        0 => Closing::AfterAnswer,
        1 => Closing::Later(Duration::from_micros(200)),
        2 => Closing::Later(Duration::from_millis(2)),
        3 if request > 0 && connection.is_multiple_of(4) => Closing::AtFirstByte,
        _ => Closing::KeepAlive,
    }
}

async fn serve(listener: TcpListener, ledger: Ledger, seen: Arc<Seen>) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let (ledger, seen) = (Arc::clone(&ledger), Arc::clone(&seen));
        tokio::spawn(async move {
            // A peer that disconnects ends the connection.
            let _ = serve_connection(stream, connection, &ledger, &seen).await;
        });
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    connection: usize,
    ledger: &Ledger,
    seen: &Seen,
) -> std::io::Result<()> {
    let mut received = Vec::new();
    for request in 0.. {
        let Some(body) = read_request(&mut stream, &mut received).await? else {
            return Ok(());
        };
        if request > 0 {
            seen.on_reused.fetch_add(1, Ordering::Relaxed);
        }
        let answer = answer(&body, ledger);
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{answer}").as_bytes())
            .await?;
        match closing(connection, request) {
            Closing::KeepAlive => {}
            Closing::AfterAnswer => return Ok(()),
            Closing::Later(after) => {
                tokio::time::sleep(after).await;
                return Ok(());
            }
            Closing::AtFirstByte => {
                stream.read_u8().await?;
                seen.closed_under_request.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Reads the body of the next request, or returns `None` at the end of the connection.
async fn read_request(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(head_end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..head_end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().trim().parse().unwrap();
            let end = head_end + 4 + length;
            if received.len() >= end {
                let request: Vec<u8> = received.drain(..end).collect();
                return Ok(Some(request[head_end + 4..].to_vec()));
            }
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

/// Answers a purchase with a success, and a check with the recorded purchase.
fn answer(body: &[u8], ledger: &Ledger) -> String {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let code = asked["referencecode"].as_str().unwrap().to_owned();
    let mut ledger = ledger.lock().unwrap();
    let is_purchase = asked["transactioncode"] == "OkeBayar-prabayar";
    if is_purchase {
        *ledger.entry(code.clone()).or_default() += 1;
    }
    let status = if ledger.contains_key(&code) {
        "000"
    } else {
        "400"
    };
    serde_json::json!({
        "tracecode": format!("trace-{code}"),
        "transactionstatus": status,
        "serialnumber": if status == "000" { "1234" } else { "" },
        "referencecode": code,
    })
    .to_string()
}

async fn buy_all(client: &Client) -> Vec<Transaction> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let calls: Vec<_> = (0..PURCHASES)
        .map(|_| {
            let (mut client, slots) = (client.clone(), Arc::clone(&slots));
            tokio::spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let mut request = order(&reference(), PLAIN);
                request.set_wait_until(WaitUntil::Terminal);
                bought(client.purchase_prepaid(request).await.unwrap().into_inner())
            })
        })
        .collect();
    let mut bought = Vec::new();
    for call in calls {
        bought.push(call.await.unwrap());
    }
    bought
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchase_is_sent_once_over_connections_closed_at_any_moment() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    // Checks prove that a request lost with its connection was not received.
    world
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s")
        .set("store.timeout", "3s");
    let ledger = Ledger::default();
    let listener = TcpListener::bind(("127.0.0.1", world.sandbox_port))
        .await
        .unwrap();
    let seen = Arc::<Seen>::default();
    let serving = tokio::spawn(serve(listener, Arc::clone(&ledger), Arc::clone(&seen)));
    let gateway = world.start_gateway().await;
    let transactions = buy_all(&gateway.client().await).await;
    serving.abort();

    let ledger = ledger.lock().unwrap();
    assert!(
        ledger.values().all(|received| *received == 1),
        "something was sent twice"
    );
    for transaction in &transactions {
        let received = ledger.contains_key(&transaction.reference_code);
        match (transaction.state(), transaction.reason()) {
            (TransactionState::Succeeded, _) => assert!(received, "{transaction:#?}"),
            (TransactionState::Failed, TransactionReason::NotReceived) => {
                assert!(!received, "{transaction:#?}");
            }
            _ => panic!("{transaction:#?}"),
        }
    }
    assert!(
        ledger.len() > PURCHASES / 2,
        "{} were received",
        ledger.len()
    );
    let on_reused = seen.on_reused.load(Ordering::Relaxed);
    assert!(
        on_reused > PURCHASES / 4,
        "{on_reused} requests came on a reused connection"
    );
    let closed = seen.closed_under_request.load(Ordering::Relaxed);
    assert!(
        closed > 0,
        "no connection was closed during a request; the test covered nothing"
    );
}

/// Accepts one connection and returns the protocols that its TLS client offers (ALPN).
async fn offered_protocols(listener: TcpListener) -> Vec<String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    // A TLS record: type, version and length, then the ClientHello.
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 22, "the first record is not a TLS handshake");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut hello).await.unwrap();
    protocols_of(&hello)
}

/// Parses the ALPN extension of a `ClientHello` (RFC 8446, section 4.1.2; RFC 7301, section 3.1).
fn protocols_of(hello: &[u8]) -> Vec<String> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, after) = rest.split_at(count);
        *rest = after;
        taken
    }
    fn number(rest: &mut &[u8], bytes: usize) -> usize {
        let digits = take(rest, bytes).iter();
        digits.fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    // Type, length, version, random.
    let mut rest = &hello[1 + 3 + 2 + 32..];
    for length_bytes in [1, 2, 1] {
        // Session, cipher suites, compression methods.
        let length = number(&mut rest, length_bytes);
        take(&mut rest, length);
    }
    let length = number(&mut rest, 2);
    let mut extensions = take(&mut rest, length);
    while !extensions.is_empty() {
        let kind = number(&mut extensions, 2);
        let length = number(&mut extensions, 2);
        let mut body = take(&mut extensions, length);
        if kind != 16 {
            continue;
        }
        let length = number(&mut body, 2);
        let mut list = take(&mut body, length);
        let mut names = Vec::new();
        while !list.is_empty() {
            let length = number(&mut list, 1);
            names.push(String::from_utf8_lossy(take(&mut list, length)).into_owned());
        }
        return names;
    }
    Vec::new()
}

#[tokio::test]
async fn only_http_1_1_is_offered_to_okebayar() {
    let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Without the restriction the server could choose HTTP/2, whose protocol errors reqwest
    // retries.
    let listener = listen().await;
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let calling = tokio::spawn(reqwest::get(url));
    assert_eq!(offered_protocols(listener).await, ["h2", "http/1.1"]);
    assert!(calling.await.unwrap().is_err());

    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    let listener = listen().await;
    let url = format!("https://{}/", listener.local_addr().unwrap());
    world.set("accounts.main.url", &url);
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    let call = start_purchase(client, order(&reference(), PLAIN));
    let offered = tokio::time::timeout(PATIENCE, offered_protocols(listener)).await;
    assert_eq!(offered.expect("the gateway never connected"), ["http/1.1"]);
    assert!(call.await.unwrap().is_err(), "nothing was sent");
}
