//! The routes with which tests observe and change a running sandbox: ledger, inquiries, misprints,
//! billing, and the status code of unknown reference codes.

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

/// Builds the routes beside the API.
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

/// The minimum counts that a reader of the ledger waits for; absent counts are 0.
#[derive(Deserialize)]
struct LedgerMinimum {
    #[serde(default)]
    received: u64,
    #[serde(default)]
    checks: u64,
    #[serde(default)]
    callbacks: u64,
}

/// The largest status code: they have three digits.
const STATUS_CODE_MAX: u16 = 999;

/// The maximum time that a reader of the ledger waits.
const LEDGER_WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the deposit and all entries of the ledger.
async fn ledger(State(sandbox): State<Arc<Sandbox>>) -> impl IntoResponse {
    Json(serde_json::json!({
        "deposit": sandbox.book.deposit(),
        "entries": sandbox.ledger.read_all(),
    }))
}

/// Returns one entry of the ledger, once it has the wanted counts or the wait has timed out.
async fn ledger_entry(
    State(sandbox): State<Arc<Sandbox>>,
    Path(reference): Path<String>,
    Query(wanted): Query<LedgerMinimum>,
) -> Json<SandboxLedgerEntry> {
    let ledger: &SandboxLedger = &sandbox.ledger;
    let enough = |entry: &SandboxLedgerEntry| {
        entry.received >= wanted.received
            && entry.checks >= wanted.checks
            && entry.callbacks >= wanted.callbacks
    };
    let entry = tokio::time::timeout(LEDGER_WAIT_TIMEOUT, ledger.wait(&reference, enough)).await;
    Json(entry.unwrap_or_else(|_| ledger.read(&reference)))
}

/// Returns the exact fields of an inquiry's answer, which its payment must repeat.
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
        text.map(|text| inquiry.printed_text(name, &text).to_owned())
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
        "ref1": inquiry.printed_text("ref1", ref1),
        "ref2": inquiry.printed_text("ref2", ref2),
        "ref3": inquiry.printed_text("ref3", ref3),
    }))
    .into_response()
}

/// Sets the misprints of answers about an account number.
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

/// Sets the billing of a customer.
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

/// Lists the paid bills with the reference codes of their payments.
async fn paid_bills(State(sandbox): State<Arc<Sandbox>>) -> Json<Vec<PaidBill>> {
    Json(sandbox.book.paid_bills())
}

/// Sets the status code of checks about unknown reference codes.
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
