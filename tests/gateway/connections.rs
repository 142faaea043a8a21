//! Design section 6: an upstream that closes idle connections at the worst
//! moments. Nothing is sent twice, and the ledger equals what the callers were told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use okebayar_gateway::grpc::v1::{Reason, State, Transaction, WaitUntil};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::support::world::{Client, PLAIN, StoreKind, World, bought, order, reference};

const PURCHASES: usize = 10_000;
const AT_ONCE: usize = 64;

/// Reference code to the purchases received in full.
type Ledger = Arc<Mutex<HashMap<String, u32>>>;

/// When the server closes a connection, by the number of its requests and of the
/// connection.
enum Closing {
    /// Not yet.
    KeepAlive,
    /// At once after the answer, which did not say so.
    AfterAnswer,
    /// A moment later, while the next request may be on its way.
    Later(Duration),
    /// When the first byte of the next request has come.
    AtFirstByte,
}

fn closing(connection: usize, request: usize) -> Closing {
    match (connection * 31 + request * 7) % 9 {
        0 => Closing::AfterAnswer,
        1 => Closing::Later(Duration::from_micros(200)),
        2 => Closing::Later(Duration::from_millis(2)),
        3 if request > 3 => Closing::AtFirstByte,
        _ => Closing::KeepAlive,
    }
}

async fn serve(listener: TcpListener, ledger: Ledger) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            // A peer that breaks off ends the connection.
            let _ = serve_connection(stream, connection, &ledger).await;
        });
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    connection: usize,
    ledger: &Ledger,
) -> std::io::Result<()> {
    let mut received = Vec::new();
    for request in 0.. {
        let Some(body) = read_request(&mut stream, &mut received).await? else {
            return Ok(());
        };
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
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The body of the next request; `None` at the end of the connection.
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

/// Sells what it receives; a check finds what was sold.
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
                request.set_wait_until(WaitUntil::Final);
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
async fn connections_closed_at_the_worst_moments_make_no_second_purchase() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    // A request that was lost with its connection is proven lost by checks.
    world
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s");
    let ledger = Ledger::default();
    let listener = TcpListener::bind(("127.0.0.1", world.sandbox_port))
        .await
        .unwrap();
    let serving = tokio::spawn(serve(listener, Arc::clone(&ledger)));
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
            (State::Succeeded, _) => assert!(received, "{transaction:#?}"),
            (State::Failed, Reason::NotReceived) => assert!(!received, "{transaction:#?}"),
            _ => panic!("{transaction:#?}"),
        }
    }
    assert!(
        ledger.len() > PURCHASES / 2,
        "{} were received",
        ledger.len()
    );
}
