//! What tests read of the sandbox and change while it runs: the ledger, bills, misprints.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, put},
};
use serde::Deserialize;

use super::{
    bill::SandboxBill,
    billing,
    book::PaidBill,
    format::rupiah,
    ledger::{SandboxLedger, SandboxLedgerEntry},
    misprint,
    state::Sandbox,
};

/// Returns the routes beside the API.
pub(super) fn routes() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/ledger", get(ledger))
        .route("/ledger/{reference}", get(ledger_entry))
        .route("/inquiry/{code}", get(inquiry))
        .route("/misprints/{account_number}", put(set_misprints))
        .route("/bills", get(paid_bills))
        .route("/bills/{account_number}", put(set_billing))
        .route("/not-found-code/{code}", put(set_not_found_code))
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
        "entries": sandbox.ledger.read_all(),
    }))
}

async fn ledger_entry(
    State(sandbox): State<Arc<Sandbox>>,
    Path(reference): Path<String>,
    Query(wanted): Query<AtLeast>,
) -> Json<SandboxLedgerEntry> {
    let ledger: &SandboxLedger = &sandbox.ledger;
    let enough = |entry: &SandboxLedgerEntry| {
        entry.received >= wanted.received
            && entry.checks >= wanted.checks
            && entry.callbacks >= wanted.callbacks
    };
    let entry = tokio::time::timeout(LEDGER_WAIT_MAX, ledger.wait(&reference, enough)).await;
    Json(entry.unwrap_or_else(|_| ledger.read(&reference)))
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
