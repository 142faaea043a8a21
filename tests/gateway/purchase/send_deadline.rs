//! Promises 1 and 4: a POST is never sent after its deadline. A process frozen or suspended after
//! its claim sends nothing when it resumes, because a status check may have settled the transaction
//! meanwhile.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use okebayar_gateway::{
    ambient::Ambient,
    grpc::v1::TransactionState,
    okebayar::{
        account::{Account, Credentials, TransactionCodes},
        body::Body,
        deployment_codes::CodeLists,
        format::Format,
        requests,
        send_by::SendBy,
        transport::{HttpSettings, HttpTransport, Transport, TransportError},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tonic::Code;

use crate::support::{
    on_both_stores,
    world::{
        PLAIN, SLOW, StoreKind, World, assert_refused, assert_succeeded, get, order, reference,
        start_purchase,
    },
};

/// Starts a server that answers any request; returns the bytes that one connection received.
async fn server() -> (reqwest::Url, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"}") {
            if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return received;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer).await.unwrap();
        received
    });
    (url.parse().unwrap(), receiving)
}

fn body(send_by: SendBy) -> Body {
    let code = || "OkeBayar".to_owned();
    let account = Account {
        format: Format::Json,
        credentials: Credentials {
            user_id: "userId".into(),
            pin: "userPin".into(),
        },
        transaction_codes: TransactionCodes {
            prepaid: code(),
            inquiry: code(),
            payment: code(),
            check: code(),
            balance: code(),
            echo: code(),
        },
        code_lists: CodeLists::default(),
        json_numbers: true,
        omits_hyphens: false,
        verify_user_id: true,
        zone: TimeZone::UTC,
    };
    requests::balance(&account, "reference-1").sent_by(send_by)
}

fn transport(url: reqwest::Url) -> HttpTransport {
    let settings = HttpSettings {
        url,
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        proxy: None,
    };
    HttpTransport::new(settings).unwrap()
}

fn clocks(boot: fn() -> Duration) -> Ambient {
    Ambient {
        now: || Timestamp::UNIX_EPOCH,
        boot,
        random: || uuid::Uuid::nil(),
    }
}

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn request_before_deadline_is_sent_in_full() {
    let (url, receiving) = server().await;
    let send_by = SendBy::after(WITHIN, clocks(|| Duration::ZERO));
    let answer = transport(url).post(body(send_by)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    let received = String::from_utf8(receiving.await.unwrap()).unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())));
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn request_late_before_connecting_does_not_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let send_by = SendBy::after(Duration::ZERO, clocks(|| Duration::ZERO));
    let posted = transport(url.parse().unwrap()).post(body(send_by)).await;
    assert!(matches!(posted, Err(TransportError::TooLate)));
    let accepted = futures::future::poll_immediate(std::pin::pin!(listener.accept())).await;
    assert!(accepted.is_none(), "the gateway connected");
}

#[tokio::test]
async fn request_late_after_connecting_sends_nothing() {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let (url, receiving) = server().await;
    // Before the deadline when it is computed and when connecting starts, after it once connected.
    let boot = || {
        let asked = ASKED.fetch_add(1, Ordering::SeqCst);
        Duration::from_secs(if asked < 2 { 0 } else { 1000 })
    };
    let send_by = SendBy::after(WITHIN, clocks(boot));
    let posted = transport(url).post(body(send_by)).await;
    assert!(matches!(posted, Err(TransportError::TooLate)));
    assert_eq!(ASKED.load(Ordering::SeqCst), 3);
    assert_eq!(receiving.await.unwrap(), b"", "something left");
}

async fn frozen_gateway_sends_nothing_after_deadline(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    let settle = ["--settle-after", "3s"];
    let port = world.sandbox_port;
    let user_id = crate::support::world::USER_ID;
    world.sandbox = Some(world.sandbox_with(port, user_id, &settle).await);
    world
        .check_rarely()
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "2s")
        .set("store.timeout", "1s");
    let gateway = world.start_gateway().await;
    let (busy, frozen) = (reference(), reference());
    let first = start_purchase(gateway.client().await, order(&busy, SLOW));
    assert_eq!(world.ledger_when(&busy, "received=1").await.received, 1);
    let second = start_purchase(gateway.client().await, order(&frozen, PLAIN));
    // The purchase is claimed and waits for the slot of the first one.
    let mut client = gateway.client().await;
    while get(&mut client, &frozen).await.is_err() {}
    gateway.process.signal("-STOP");
    // The deadline has passed, and the answer of the first one is in its socket.
    tokio::time::sleep(Duration::from_secs(4)).await;
    gateway.process.signal("-CONT");
    let refused = second.await.unwrap();
    assert_refused(refused, Code::ResourceExhausted, "OVERLOADED", "no");
    let stored = get(&mut client, &frozen).await.unwrap();
    assert_eq!(stored.state(), TransactionState::NotSent);
    let bought = first.await.unwrap().unwrap().into_inner();
    assert_succeeded(&bought.transaction.unwrap());
    assert_eq!(world.ledger(&frozen).await.received, 0);
}

on_both_stores!(frozen_gateway_sends_nothing_after_deadline);
