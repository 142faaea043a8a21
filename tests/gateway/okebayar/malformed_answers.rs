//! Promise 4: a malformed answer leaves the outcome unknown, and the POST is not repeated
//! (docs/OKEBAYAR.md, section 6).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use okebayar_gateway::grpc::v1::{TransactionReason, TransactionState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::world::{PLAIN, StoreKind, World, assert_succeeded, buy, reference};

/// Answers every request with the same bytes, closes the connection, and counts requests.
async fn serve(port: u16, answer: Vec<u8>) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer_one(stream, &answer, &counting).await;
        }
    });
    count
}

async fn answer_one(mut stream: TcpStream, answer: &[u8], count: &AtomicUsize) {
    let mut request = Vec::new();
    while !(request.ends_with(b"}") || request.ends_with(b"</transaction>")) {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    // The gateway may reject a body that is too long before it is written.
    let _ = stream.write_all(answer).await;
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

const SUCCESS: &str = r#"{"transactionstatus":"000","tracecode":"t","serialnumber":"1"}"#;

const FAILURE: &str = r#"{"transactionstatus":"204","tracecode":"t"}"#;

#[tokio::test]
async fn malformed_answer_is_unknown_and_not_sent_again() {
    let home = "location: /again\r\n";
    let long = format!(
        "{{\"transactionstatus\":\"204\",\"info\":\"{}\"}}",
        "x".repeat(300_000)
    );
    let truncated = {
        let mut whole = http("200 OK", "", FAILURE);
        whole.truncate(whole.len() - 3);
        whole
    };
    let other = r#"{"transactionstatus":"000","referencecode":"somebody-elses"}"#;
    let inquiry = r#"{"transactionstatus":"000","inquiryexpired":"200325200912"}"#;
    let ambiguous = r#"{"transactionstatus":"204","responsecode":"000"}"#;
    let cases = [
        (
            "a redirect that keeps the method",
            http("307 Temporary Redirect", home, ""),
        ),
        (
            "a permanent one",
            http("308 Permanent Redirect", home, FAILURE),
        ),
        (
            "an error with a success inside",
            http("500 Internal Server Error", "", SUCCESS),
        ),
        (
            "an error with a failure inside",
            http("502 Bad Gateway", "", FAILURE),
        ),
        ("a refusal", http("403 Forbidden", "", FAILURE)),
        (
            "retry later",
            http("503 Service Unavailable", "retry-after: 0\r\n", ""),
        ),
        (
            "a web page",
            http("200 OK", "content-type: text/html\r\n", "<html>204</html>"),
        ),
        ("nothing", http("200 OK", "", "")),
        ("a truncated answer", truncated),
        ("a torn status line", b"HTTP/1.1 2".to_vec()),
        ("something else than HTTP", b"204\r\n\r\n".to_vec()),
        ("an end without a word", Vec::new()),
        ("an endless answer", http("200 OK", "", &long)),
        ("no status", http("200 OK", "", r#"{"tracecode":"t"}"#)),
        (
            "garbage for a status",
            http("200 OK", "", r#"{"transactionstatus":"20A"}"#),
        ),
        ("two statuses", http("200 OK", "", ambiguous)),
        ("somebody else's success", http("200 OK", "", other)),
        ("an inquiry's success", http("200 OK", "", inquiry)),
    ];
    for (case, answer) in cases {
        assert_unknown("json", case, answer).await;
    }
}

#[tokio::test]
async fn malformed_xml_answer_is_unknown() {
    let whole =
        "<transaction-status><transactionstatus>204</transactionstatus></transaction-status>";
    let ok = |body: &str| http("200 OK", "content-type: application/xml\r\n", body);
    let cases = [
        (
            "a web page",
            ok("<html><transactionstatus>204</transactionstatus></html>"),
        ),
        (
            "another root",
            ok(&whole.replace("transaction-status", "transaction")),
        ),
        ("two answers", ok(&format!("{whole}{whole}"))),
        ("no end", ok(&whole.replace("</transaction-status>", ""))),
        (
            "a wrong end",
            ok(&whole.replace("</transactionstatus>", "</status>")),
        ),
        ("a document type", ok(&format!("<!DOCTYPE x>{whole}"))),
        (
            "the other format, torn, with a whole answer quoted",
            ok(&format!("{{\"info\":\"{whole}")),
        ),
        (
            "a nested status",
            ok(&whole.replace("204", "<code>204</code>")),
        ),
        (
            "a status in an attribute",
            ok("<transaction-status transactionstatus='204'/>"),
        ),
        (
            "a status in a comment",
            ok(&whole.replace("204", "<!--204-->")),
        ),
        (
            "an error with a failure inside",
            http("500 Internal Server Error", "", whole),
        ),
    ];
    for (case, answer) in cases {
        assert_unknown("xml", case, answer).await;
    }
}

#[tokio::test]
async fn answer_in_other_format_is_read() {
    let xml = "{ <transaction-status><transactionstatus>000</transactionstatus>\
               <tracecode>t</tracecode><serialnumber>1</serialnumber></transaction-status> }";
    for (format, body) in [("json", xml), ("xml", SUCCESS)] {
        let mut world = World::without_sandbox(StoreKind::Embedded).await;
        world.check_rarely().set("accounts.main.format", format);
        let count = serve(world.sandbox_port, http("200 OK", "", body)).await;
        let gateway = world.start_gateway().await;
        let bought = buy(&mut gateway.client().await, &reference(), PLAIN).await;
        assert_succeeded(&bought);
        assert_eq!(bought.serial_number, "1", "{format}");
        assert_eq!(count.load(Ordering::SeqCst), 1, "{format}");
    }
}

/// Buys from an upstream with this answer, and asserts that it received one request and that
/// nothing is concluded.
async fn assert_unknown(format: &str, case: &str, answer: Vec<u8>) {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.check_rarely().set("accounts.main.format", format);
    let count = serve(world.sandbox_port, answer).await;
    let gateway = world.start_gateway().await;
    let transaction = buy(&mut gateway.client().await, &reference(), PLAIN).await;
    assert_eq!(
        transaction.state(),
        TransactionState::Confirming,
        "{case}: {transaction:#?}"
    );
    let reason = transaction.reason();
    assert!(
        matches!(
            reason,
            TransactionReason::NoAnswer | TransactionReason::UnclearAnswer
        ),
        "{case}: {reason:?}"
    );
    assert!(
        !transaction.safe_to_refund && !transaction.next_step().allows_purchase(),
        "{case}"
    );
    assert_eq!(transaction.timeline.len(), 1, "{case}");
    assert_eq!(count.load(Ordering::SeqCst), 1, "{case}");
}
