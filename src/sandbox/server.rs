//! The sandbox's HTTP server: the API at `/`, the ledger for tests beside it.
//!
//! It speaks over hyper itself, because an answer may be that the connection is
//! reset.

use std::{
    convert::Infallible,
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{Request, Response, StatusCode},
    response::{Html, IntoResponse},
    routing::{get, post, put},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use socket2::SockRef;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{
    answer::rupiah,
    api::Reaction,
    bill::SandboxBill,
    billing,
    book::{Book, PaidBill, SandboxLedgerEntry},
    misprint,
    scenario::ScenarioReply,
    state::Sandbox,
};

/// Marks a response that is never sent.
#[derive(Clone)]
struct ResetConnection;

/// Ends a connection's service.
#[derive(Debug, thiserror::Error)]
#[error("the scenario resets the connection")]
struct WasReset;

pub(super) async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener) {
    let router = Router::new()
        .route("/", post(call))
        .route("/ledger", get(ledger))
        .route("/ledger/{reference}", get(ledger_entry))
        .route("/inquiry/{code}", get(inquiry))
        .route("/misprints/{account_number}", put(set_misprints))
        .route("/bills", get(paid_bills))
        .route("/bills/{account_number}", put(set_billing))
        .route("/not-found-code/{code}", put(set_not_found_code))
        .with_state(Arc::clone(&sandbox));
    let serving = async {
        loop {
            // An accept that fails (too many open files) may succeed a little later.
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, router.clone()))),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = sandbox.stopping.cancelled() => {}
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, router: Router) {
    let Ok((stream, twin)) = with_twin(stream) else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> =
                router.oneshot(request.map(Body::new)).await;
            let response = response.unwrap_or_else(|never| match never {});
            match response.extensions().get::<ResetConnection>() {
                Some(_) => Err(WasReset),
                None => Ok(response),
            }
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let ended = connection.await;
    if ended.is_err_and(|error| error.is_user()) {
        // The last owner closes with a reset instead of an orderly end.
        let _ = SockRef::from(&twin).set_linger(Some(Duration::ZERO));
    }
}

/// The stream, and a second handle to its socket.
fn with_twin(stream: tokio::net::TcpStream) -> std::io::Result<(tokio::net::TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((tokio::net::TcpStream::from_std(stream)?, twin))
}

/// A status check that is being answered; dropped also when its asker has gone.
struct Check {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl Check {
    fn begin(sandbox: &Arc<Sandbox>, reference_code: String) -> Self {
        sandbox.book.check_begins(&reference_code);
        let sandbox = Arc::clone(sandbox);
        Self {
            sandbox,
            reference_code,
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.sandbox.book.check_ends(&self.reference_code);
    }
}

async fn call(State(sandbox): State<Arc<Sandbox>>, body: Bytes) -> axum::response::Response {
    let Reaction {
        reply,
        body,
        format,
        order,
        checks,
    } = sandbox.react(&body);
    // Dropped with the answer, or when the client hangs up.
    let _answering = order.map(|reference_code| Answering {
        sandbox: Arc::clone(&sandbox),
        reference_code,
    });
    let settings = &sandbox.settings;
    let check = checks.map(|reference_code| Check::begin(&sandbox, reference_code));
    if check.is_some() {
        tokio::time::sleep(settings.check_delay).await;
    }
    let content_type = match reply {
        ScenarioReply::WrongContentType => "text/html",
        _ => format.content_type(),
    };
    let answer = ([("content-type", content_type)], body.clone()).into_response();
    match reply {
        ScenarioReply::Answer | ScenarioReply::WrongContentType | ScenarioReply::LikeInquiry => {
            answer
        }
        ScenarioReply::Slow => {
            tokio::time::sleep(settings.settle_after).await;
            answer
        }
        ScenarioReply::TooLate => {
            tokio::time::sleep(settings.late_after).await;
            answer
        }
        ScenarioReply::Silence => std::future::pending().await,
        ScenarioReply::Reset | ScenarioReply::ResetBefore => {
            let mut response = ().into_response();
            response.extensions_mut().insert(ResetConnection);
            response
        }
        ScenarioReply::Error => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        ScenarioReply::Html => {
            Html("<html><body>OKEBAYAR is being maintained</body></html>").into_response()
        }
        ScenarioReply::Truncated => truncated(&body),
    }
}

/// A purchase or payment that is being answered.
struct Answering {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.sandbox.book.answered(&self.reference_code);
    }
}

/// Promises the whole body, sends half of it, and breaks off.
fn truncated(body: &str) -> axum::response::Response {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let pieces = [
        Ok(half),
        Err(std::io::Error::other("the scenario breaks off")),
    ];
    let length = [("content-length", body.len().to_string())];
    (length, Body::from_stream(futures::stream::iter(pieces))).into_response()
}

/// What a reader of the ledger waits for; absent counts are not waited for.
#[derive(Deserialize)]
struct AtLeast {
    #[serde(default)]
    received: u64,
    #[serde(default)]
    checks: u64,
    #[serde(default)]
    callbacks: u64,
}

/// Status codes have three digits.
const STATUS_CODE_MAX: u16 = 999;

/// The longest a reader waits.
const LEDGER_WAIT_MAX: Duration = Duration::from_secs(30);

async fn ledger(State(sandbox): State<Arc<Sandbox>>) -> impl IntoResponse {
    Json(serde_json::json!({
        "deposit": sandbox.book.deposit(),
        "entries": sandbox.book.read_all(),
    }))
}

/// What an inquiry told, to the letter: what its payment must say.
async fn inquiry(
    State(sandbox): State<Arc<Sandbox>>,
    Path(code): Path<String>,
) -> axum::response::Response {
    let Some(inquiry) = sandbox.book.inquiry(&code) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let [one, two, three] = &inquiry.account_numbers;
    let [ref1, ref2, ref3] = &inquiry.refs;
    let amount = |name: &str, amount: fn(&SandboxBill) -> u64| {
        let bill = inquiry.bill.as_ref();
        let text = bill.map(|bill| rupiah(amount(bill), inquiry.format));
        text.map(|text| inquiry.told(name, &text).to_owned())
    };
    Json(serde_json::json!({
        "inquirycode": code,
        "productcode": inquiry.product_code,
        "accnumber1": one,
        "accnumber2": two,
        "accnumber3": three,
        "contactnumber": inquiry.contact_number,
        "nominal": amount("nominal", SandboxBill::nominal),
        "adminfee": amount("adminfee", SandboxBill::admin_fee),
        "ref1": inquiry.told("ref1", ref1),
        "ref2": inquiry.told("ref2", ref2),
        "ref3": inquiry.told("ref3", ref3),
    }))
    .into_response()
}

/// Sets what answers about an account number carry instead of what is right.
async fn set_misprints(
    State(sandbox): State<Arc<Sandbox>>,
    Path(account_number): Path<String>,
    body: Bytes,
) -> StatusCode {
    let Some(fields) = misprint::read(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    sandbox.misprints.set(account_number, fields);
    StatusCode::NO_CONTENT
}

/// Sets how a customer is billed.
async fn set_billing(
    State(sandbox): State<Arc<Sandbox>>,
    Path(account_number): Path<String>,
    body: Bytes,
) -> StatusCode {
    let Some(billing) = billing::read(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    sandbox.billings.set(account_number, billing);
    StatusCode::NO_CONTENT
}

/// Lists the bills that were paid, and under which reference codes.
async fn paid_bills(State(sandbox): State<Arc<Sandbox>>) -> Json<Vec<PaidBill>> {
    Json(sandbox.book.paid_bills())
}

/// Sets the status code with which checks about unknown reference codes are answered.
async fn set_not_found_code(
    State(sandbox): State<Arc<Sandbox>>,
    Path(code): Path<u16>,
) -> StatusCode {
    if code > STATUS_CODE_MAX {
        return StatusCode::BAD_REQUEST;
    }
    sandbox.not_found_code.store(code, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

async fn ledger_entry(
    State(sandbox): State<Arc<Sandbox>>,
    Path(reference): Path<String>,
    Query(wanted): Query<AtLeast>,
) -> Json<SandboxLedgerEntry> {
    let book: &Book = &sandbox.book;
    let enough = |entry: &SandboxLedgerEntry| {
        entry.received >= wanted.received
            && entry.checks >= wanted.checks
            && entry.callbacks >= wanted.callbacks
    };
    let entry = tokio::time::timeout(LEDGER_WAIT_MAX, book.wait(&reference, enough)).await;
    Json(entry.unwrap_or_else(|_| book.read(&reference)))
}
