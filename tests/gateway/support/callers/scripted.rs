//! The scenarios of a caller in front of a scripted gateway.

use std::collections::HashMap;

use okebayar_gateway::grpc::v1::{
    ListTransactionsResponse, NextStep, Transaction, TransactionState, WatchTransactionsResponse,
};
use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};

use super::{
    super::world::{PLAIN, reference},
    Caller,
    scripted_gateway::{
        Script,
        Step::{self, List, Watch},
        serve,
    },
};

fn transaction(code: &str, state: TransactionState, step: NextStep) -> Transaction {
    Transaction {
        reference_code: code.to_owned(),
        state: state.into(),
        next_step: step.into(),
        revision: 1,
        ..Transaction::default()
    }
}

/// Buys, and asserts the decision about a refund when the followed purchase becomes safe to refund
/// with this state and next step.
async fn assert_refund(caller: &Caller, state: TransactionState, step: NextStep, refund: bool) {
    let code = reference();
    let changed = Transaction {
        safe_to_refund: true,
        revision: 2,
        ..transaction(&code, state, step)
    };
    let address = serve(Script {
        purchased: transaction(&code, TransactionState::Pending, NextStep::Wait),
        changed,
        ..Script::default()
    })
    .await;
    let mut program = caller.buy(&address, &code, PLAIN);
    super::assert_ends_well(&mut program).await;
    let decision = format!("refund the customer: {refund}");
    assert_eq!(program.output().last(), Some(&decision));
    let name = step.as_str_name().trim_start_matches("NEXT_STEP_");
    let followed = format!("{name}: ");
    let printed = program.text();
    assert!(printed.contains(&followed), "{followed}: {printed}");
}

/// Refunds only where the purchase is not called again.
pub async fn refunds_or_calls_again(caller: &Caller) {
    let (not_sent, failed) = (TransactionState::NotSent, TransactionState::Failed);
    tokio::join!(
        assert_refund(caller, not_sent, NextStep::RetrySameReference, false),
        assert_refund(
            caller,
            not_sent,
            NextStep::CorrectAndRetrySameReference,
            false
        ),
        assert_refund(caller, failed, NextStep::BuyAgain, true),
    );
}

fn page(codes: &[&str], token: &str, cursor: &str) -> ListTransactionsResponse {
    let listed = |code: &&str| transaction(code, TransactionState::Succeeded, NextStep::None);
    ListTransactionsResponse {
        transactions: codes.iter().map(listed).collect(),
        next_page_token: token.to_owned(),
        watch_cursor: cursor.to_owned(),
    }
}

fn heartbeat(cursor: &str) -> WatchTransactionsResponse {
    WatchTransactionsResponse {
        cursor: cursor.to_owned(),
        ..WatchTransactionsResponse::default()
    }
}

fn change(code: &str, cursor: &str) -> WatchTransactionsResponse {
    let succeeded = transaction(code, TransactionState::Succeeded, NextStep::None);
    WatchTransactionsResponse {
        transaction: Some(succeeded),
        ..heartbeat(cursor)
    }
}

fn broken<T>(code: Code) -> Result<T, Status> {
    Err(Status::new(code, "a proxy ended the call"))
}

/// Builds an error that the service config does not repeat, although it repeats the code.
fn unavailable<T>() -> Result<T, Status> {
    let mut status = Status::unavailable("no gateway is ready");
    let pushback = MetadataValue::from_static("-1");
    status
        .metadata_mut()
        .insert("grpc-retry-pushback-ms", pushback);
    Err(status)
}

fn steps() -> Vec<Step> {
    vec![
        List("", Ok(page(&["a-1", "a-2"], "second", "cursor-1"))),
        // A listing that broke off is repeated as a whole.
        List("second", broken(Code::DeadlineExceeded)),
        List("", Ok(page(&["b-1", "b-2"], "second", "cursor-2"))),
        List("second", Ok(page(&["b-3"], "", ""))),
        Watch(
            "cursor-2",
            vec![Ok(heartbeat("cursor-3")), Ok(change("c-1", "cursor-4"))],
        ),
        Watch("cursor-4", vec![broken(Code::DeadlineExceeded)]),
        Watch(
            "cursor-4",
            vec![Ok(heartbeat("cursor-5")), broken(Code::Aborted)],
        ),
        Watch("cursor-5", vec![broken(Code::Cancelled)]),
        Watch("cursor-5", vec![broken(Code::Internal)]),
        Watch("cursor-5", vec![broken(Code::ResourceExhausted)]),
        Watch("cursor-5", vec![broken(Code::OutOfRange)]),
        List("", unavailable()),
        List("", Ok(page(&["d-1"], "", "cursor-6"))),
        Watch("cursor-6", vec![Ok(change("e-1", "cursor-7"))]),
    ]
}

/// Watches through every interruption, and prints a cursor only where a restart from it misses
/// nothing.
pub async fn watch_survives_interruptions(caller: &Caller) {
    let address = serve(Script {
        steps: steps().into(),
        ..Script::default()
    })
    .await;
    let mut program = caller.watch(&address, "");
    program
        .line(|line| (line == "cursor cursor-7").then_some(()))
        .await;
    let printed = program.output();
    // A caller may show the pages of a listing that broke off, or not.
    let relisted = printed.iter().position(|line| line.starts_with("watch "));
    let (partial, rest) = printed.split_at(relisted.unwrap());
    let has_cursor = partial.iter().any(|line| line.starts_with("cursor "));
    assert!(!has_cursor, "{printed:#?}");
    let expected = [
        "watch interrupted, resuming from a new listing",
        "b-1 SUCCEEDED, NONE: done",
        "b-2 SUCCEEDED, NONE: done",
        "b-3 SUCCEEDED, NONE: done",
        "cursor cursor-2",
        "cursor cursor-3",
        "c-1 SUCCEEDED, NONE: done",
        "cursor cursor-4",
        "watch interrupted, resuming from the cursor",
        "cursor cursor-5",
        "watch interrupted, resuming from the cursor",
        "watch interrupted, resuming from the cursor",
        "watch interrupted, resuming from the cursor",
        "watch interrupted, resuming from the cursor",
        "watch interrupted, resuming from a new listing",
        "watch interrupted, resuming from a new listing",
        "d-1 SUCCEEDED, NONE: done",
        "cursor cursor-6",
        "e-1 SUCCEEDED, NONE: done",
        "cursor cursor-7",
    ];
    assert_eq!(rest, expected);
}

/// Stops in front of an earlier release, whose listing has no cursor.
pub async fn watch_stops_without_cursor(caller: &Caller) {
    let address = serve(Script {
        steps: [
            List("", Ok(page(&["a-1"], "second", ""))),
            List("second", Ok(page(&["a-2"], "", ""))),
        ]
        .into(),
        ..Script::default()
    })
    .await;
    let mut program = caller.watch(&address, "");
    assert_eq!(program.ended().await.code(), Some(1), "{}", program.text());
    let error = "the gateway returns no watch_cursor: finish its upgrade first";
    assert!(program.text().contains(error), "{}", program.text());
}

/// Judges an error without a next step by its gRPC code.
pub async fn explains_error_without_next_step(caller: &Caller) {
    let metadata = [("sent".to_owned(), "no".to_owned())];
    let details = ErrorDetails::with_error_info(
        "TRANSACTION_NOT_FOUND",
        "gateway.okebayar",
        HashMap::from(metadata),
    );
    let not_found = Status::with_error_details(Code::NotFound, "no transaction", details);
    let address = serve(Script {
        steps: [List("", Err(not_found))].into(),
        ..Script::default()
    })
    .await;
    let mut program = caller.watch(&address, "");
    assert_eq!(program.ended().await.code(), Some(1), "{}", program.text());
    let error = "error TRANSACTION_NOT_FOUND, sent=no, NOT_FOUND: act on the gRPC code";
    assert_eq!(program.text(), error);
}
