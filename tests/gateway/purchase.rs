//! Purchases: what a caller sees of every outcome.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    GetTransactionRequest, Reason, Source, State, Transaction, WaitUntil,
    get_transaction_request::Code,
};
use tokio::io::AsyncReadExt;
use tonic::{Code as GrpcCode, Request};
use tonic_types::StatusExt;

use crate::support::{
    on_both_stores,
    process::CANARY_PIN,
    world::{
        ANSWER_AND_CALLBACK_LOST, CALLBACK_LOST, DEPOSIT, Gateway, PENDING_FOR_EVER,
        PENDING_THEN_FAILURE, PENDING_THEN_SUCCESS, PLAIN, PRODUCT_PRICE, RESET_AND_CALLBACK_LOST,
        SERIAL_NUMBER_LATER, StoreKind, USER_ID, World, assert_succeeded, bought, buy, error_info,
        get, order, reference,
    },
};

async fn a_purchase_is_answered_and_found_again(kind: StoreKind) {
    let world = World::new(kind).await;
    let mut gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let signed = format!("{USER_ID}{CANARY_PIN}{code}");
    gateway
        .process
        .add_secret(hex::encode(<md5::Md5 as md5::Digest>::digest(signed)));

    let answer = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.replayed);
    let transaction = bought(answer);
    assert_succeeded(&transaction);
    assert_eq!(transaction.status_code, "000");
    assert_eq!(transaction.status_meaning, "success");
    let price = transaction.price.as_ref().unwrap();
    assert_eq!(
        (price.currency_code.as_str(), price.units, price.nanos),
        ("IDR", PRODUCT_PRICE, 0)
    );
    assert_eq!(
        transaction.balance.as_ref().unwrap().units,
        DEPOSIT - PRODUCT_PRICE
    );
    assert!(transaction.transaction_time.is_some());
    assert_eq!(transaction.timeline.len(), 1);
    assert_eq!(transaction.timeline[0].source(), Source::Answer);
    gateway
        .process
        .add_secret(transaction.serial_number.clone());
    gateway.process.add_secret(PLAIN.to_owned());

    assert_eq!(get(&mut client, &code).await.unwrap(), transaction);
    let trace = Some(Code::TraceCode(transaction.trace_code.clone()));
    let request = GetTransactionRequest {
        account: "main".into(),
        code: trace,
    };
    let by_trace = client.get_transaction(request).await.unwrap().into_inner();
    assert_eq!(by_trace.transaction.unwrap(), transaction);

    let again = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(again.replayed);
    assert_eq!(bought(again), transaction);
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn the_most_talkative_log_tells_no_secret() {
    for format in ["json", "xml"] {
        let mut world = World::new(StoreKind::Redis).await;
        world.variables.push(("RUST_LOG".into(), "trace".into()));
        world.set("accounts.main.format", format);
        let mut gateway = world.start_gateway().await;
        let code = reference();
        let transaction = buy(&mut gateway.client().await, &code, PLAIN).await;
        let signed = format!("{USER_ID}{CANARY_PIN}{code}");
        gateway
            .process
            .add_secret(hex::encode(<md5::Md5 as md5::Digest>::digest(signed)));
        gateway
            .process
            .add_secret(transaction.serial_number.clone());
        gateway.process.add_secret(PLAIN.to_owned());
        gateway.process.kill().await;
        assert!(gateway.process.text().contains("TRACE"));
    }
}

/// (account number, state, reason, status code, executed)
const SETTLED: [(&str, State, Reason, &str, u64); 22] = [
    (
        SERIAL_NUMBER_LATER,
        State::Succeeded,
        Reason::Unspecified,
        "000",
        1,
    ),
    (
        PENDING_THEN_SUCCESS,
        State::Succeeded,
        Reason::Unspecified,
        "000",
        1,
    ),
    (
        PENDING_THEN_FAILURE,
        State::Failed,
        Reason::ProductUnavailable,
        "200",
        0,
    ),
    (
        CALLBACK_LOST,
        State::Succeeded,
        Reason::Unspecified,
        "000",
        1,
    ),
    (
        RESET_AND_CALLBACK_LOST,
        State::Succeeded,
        Reason::Unspecified,
        "000",
        1,
    ),
    (
        "080000009200",
        State::Failed,
        Reason::ProductUnavailable,
        "200",
        0,
    ),
    (
        "080000009201",
        State::Failed,
        Reason::BillerTrouble,
        "201",
        0,
    ),
    (
        "080000009202",
        State::Failed,
        Reason::ServerTrouble,
        "202",
        0,
    ),
    (
        "080000009203",
        State::Failed,
        Reason::DepositExhausted,
        "203",
        0,
    ),
    (
        "080000009204",
        State::Failed,
        Reason::WrongAccountNumber,
        "204",
        0,
    ),
    (
        "080000009205",
        State::Failed,
        Reason::WrongProductCode,
        "205",
        0,
    ),
    ("080000009206", State::Failed, Reason::BadFormat, "206", 0),
    (
        "080000009207",
        State::Failed,
        Reason::GatewayCredentials,
        "207",
        0,
    ),
    ("080000009210", State::Failed, Reason::CrossRegion, "210", 0),
    (
        "080000009214",
        State::Failed,
        Reason::RequestExpired,
        "214",
        0,
    ),
    (
        "080000009215",
        State::Failed,
        Reason::AccountCannotReceive,
        "215",
        0,
    ),
    (
        "080000009232",
        State::Failed,
        Reason::ProductAccountMismatch,
        "232",
        0,
    ),
    ("080000009234", State::Failed, Reason::Cancelled, "234", 0),
    (
        "080000009240",
        State::Failed,
        Reason::Unidentified,
        "240",
        0,
    ),
    (
        "080000009299",
        State::Failed,
        Reason::Unidentified,
        "299",
        0,
    ),
    ("080000009404", State::Failed, Reason::BillRefused, "404", 0),
    (
        "080000009500",
        State::Failed,
        Reason::AccountBlacklisted,
        "500",
        0,
    ),
];

async fn every_outcome_settles_on_evidence(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    for (account_number, state, reason, status_code, executed) in SETTLED {
        let code = reference();
        let mut request = order(&code, account_number);
        request.set_wait_until(WaitUntil::Final);
        let mut client = gateway.client().await;
        let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
        let told = (
            transaction.state(),
            transaction.reason(),
            transaction.status_code.as_str(),
        );
        assert_eq!(told, (state, reason, status_code), "{account_number}");
        let failed = state == State::Failed;
        let flags = (
            transaction.r#final,
            transaction.safe_to_refund,
            transaction.safe_to_buy_again,
        );
        assert_eq!(flags, (true, failed, failed), "{account_number}");
        assert_eq!(
            transaction.serial_number.is_empty(),
            failed,
            "{account_number}"
        );
        let ledger = world.ledger(&code).await;
        assert_eq!(
            (ledger.received, ledger.executed),
            (1, executed),
            "{account_number}"
        );
    }
}

#[tokio::test]
async fn a_doubtful_failure_needs_two_checks_that_agree() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let transaction = buy(&mut client, &reference(), "080000009202").await;
    assert_eq!(transaction.state(), State::Confirming);
    assert_eq!(transaction.reason(), Reason::ServerTrouble);
    assert!(!transaction.safe_to_refund && !transaction.r#final);
}

#[tokio::test]
async fn a_code_that_says_nothing_is_put_before_a_human() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.give_up_after", "500ms");
    let gateway = world.start_gateway().await;
    for code_number in ["208", "510", "241", "261"] {
        let code = reference();
        let mut request = order(&code, &format!("080000009{code_number}"));
        request.set_wait_until(WaitUntil::Final);
        let mut client = gateway.client().await;
        let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
        assert_needs_review(&transaction);
        assert_eq!(world.ledger(&code).await.received, 1, "{code_number}");
    }
}

fn assert_needs_review(transaction: &Transaction) {
    assert_eq!(transaction.state(), State::NeedsReview, "{transaction:#?}");
    assert_eq!(transaction.reason(), Reason::ChecksExhausted);
    assert!(!transaction.r#final && !transaction.safe_to_refund && !transaction.safe_to_buy_again);
}

/// Has a purchase's connection break, then starts a sandbox that has never heard
/// of the reference code and answers its checks with 400.
async fn buy_unheard(world: &mut World, gateway: &Gateway) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", world.sandbox_port))
        .await
        .unwrap();
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Something of the request must have arrived, or nothing was sent.
        stream.read_u8().await.unwrap();
    });
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_eq!(transaction.state(), State::Confirming);
    assert_eq!(transaction.reason(), Reason::NoAnswer);
    breaking.await.unwrap();
    world.start_sandbox().await;
    code
}

#[tokio::test]
async fn a_check_that_may_mean_not_found_settles_nothing() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("checks.give_up_after", "1s")
        .set("checks.not_received_after", "100ms");
    let gateway = world.start_gateway().await;
    let code = buy_unheard(&mut world, &gateway).await;
    let transaction = gateway
        .until(&code, |transaction| {
            transaction.state() == State::NeedsReview
        })
        .await;
    assert_needs_review(&transaction);
    assert!(world.ledger(&code).await.checks >= 1);
}

#[tokio::test]
async fn a_configured_code_proves_that_nothing_was_received() {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "500ms");
    let gateway = world.start_gateway().await;
    let code = buy_unheard(&mut world, &gateway).await;
    let transaction = gateway.until_final(&code).await;
    assert_eq!(transaction.state(), State::Failed);
    assert_eq!(transaction.reason(), Reason::NotReceived);
    assert!(transaction.safe_to_refund);
}

async fn other_contents_under_a_used_reference_code_are_refused(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let first = buy(&mut client, &code, PLAIN).await;

    let mut other_product = order(&code, PLAIN);
    other_product.product_code = "PULSA100".into();
    let other_account = order(&code, "081298765432");
    let other_spelling = order(&code.to_uppercase(), PLAIN);
    for request in [other_product, other_account, other_spelling] {
        let status = client.purchase_prepaid(request).await.unwrap_err();
        assert_eq!(status.code(), GrpcCode::AlreadyExists);
        assert_eq!(
            error_info(&status),
            ("REFERENCE_CODE_REUSED".into(), "no".into())
        );
    }
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    assert_eq!(world.ledger(&code.to_uppercase()).await.received, 0);
    assert_eq!(get(&mut client, &code).await.unwrap(), first);
}

async fn a_refused_connection_sends_nothing_and_the_reference_code_stays_usable(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    for _ in 0..2 {
        let status = client
            .purchase_prepaid(order(&code, PLAIN))
            .await
            .unwrap_err();
        assert_eq!(status.code(), GrpcCode::Unavailable, "{status}");
        assert_eq!(
            error_info(&status),
            ("OKEBAYAR_UNREACHABLE".into(), "no".into())
        );
    }
    let stored = get(&mut client, &code).await.unwrap();
    assert_eq!(stored.state(), State::NotSent);
    assert!(!stored.r#final && stored.safe_to_refund && stored.safe_to_buy_again);

    world.start_sandbox().await;
    let answer = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.replayed);
    assert_succeeded(&bought(answer));
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

#[tokio::test]
async fn a_malformed_request_names_every_field_at_once() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut request = order("short", "");
    request.account = "nobody".into();
    request.product_code = "two words".into();
    request.wait_until = 77;
    let status = gateway
        .client()
        .await
        .purchase_prepaid(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::InvalidArgument);
    assert_eq!(error_info(&status).1, "no");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "account",
            "reference_code",
            "product_code",
            "account_number",
            "wait_until"
        ]
    );
}

#[tokio::test]
async fn an_unknown_transaction_is_not_found() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let status = get(&mut gateway.client().await, &reference())
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::NotFound);
}

#[tokio::test]
async fn a_deadline_returns_the_state_as_known_and_the_purchase_goes_on() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.timeout", "3s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let mut request = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_secs(1));
    let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(transaction.state(), State::Sending);
    assert_succeeded(&gateway.until_final(&code).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

async fn a_cancelled_call_does_not_stop_the_purchase(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let call = {
        let request = order(&code, crate::support::world::SLOW);
        tokio::spawn(async move { client.purchase_prepaid(request).await })
    };
    assert_eq!(world.ledger_when(&code, "received=1").await.received, 1);
    call.abort();
    assert_succeeded(&gateway.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!(
        (ledger.received, ledger.checks),
        (1, 0),
        "the answer itself settled it"
    );
}

#[tokio::test]
async fn too_many_purchases_are_refused_and_replays_are_not() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.queue", "1")
        .set("limits.sending", "1")
        .set("accounts.main.timeout", "5s");
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut request = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_millis(500));
    let mut client = gateway.client().await;
    let first = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(first.state(), State::Sending);

    let status = client
        .purchase_prepaid(order(&reference(), PLAIN))
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::ResourceExhausted);
    assert_eq!(error_info(&status), ("OVERLOADED".into(), "no".into()));
    assert!(
        status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .is_some()
    );

    let mut replay = Request::new(order(&code, ANSWER_AND_CALLBACK_LOST));
    replay.set_timeout(Duration::from_millis(500));
    assert!(
        client
            .purchase_prepaid(replay)
            .await
            .unwrap()
            .into_inner()
            .replayed
    );
}

#[tokio::test]
async fn one_that_waits_too_long_to_be_sent_is_given_up_unsent() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .set("limits.sending", "1")
        .set("limits.queue_timeout", "200ms");
    let gateway = world.start_gateway().await;
    let (busy, waiting) = (reference(), reference());
    let mut client = gateway.client().await;
    let mut request = Request::new(order(&busy, ANSWER_AND_CALLBACK_LOST));
    request.set_timeout(Duration::from_millis(300));
    client.purchase_prepaid(request).await.unwrap();
    let status = client
        .purchase_prepaid(order(&waiting, PLAIN))
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::ResourceExhausted);
    assert_eq!(error_info(&status).1, "no");
    assert_eq!(
        get(&mut client, &waiting).await.unwrap().state(),
        State::NotSent
    );
    assert_eq!(world.ledger(&waiting).await.received, 0);
}

#[tokio::test]
async fn a_pending_purchase_is_checked_until_a_human_must_decide() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("checks.give_up_after", "700ms");
    let gateway = world.start_gateway().await;
    let code = reference();
    let transaction = buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    assert_eq!(transaction.state(), State::Pending);
    let transaction = gateway
        .until(&code, |transaction| {
            transaction.state() == State::NeedsReview
        })
        .await;
    assert_eq!(transaction.reason(), Reason::ChecksExhausted);
    let ledger = world.ledger(&code).await;
    assert!(ledger.checks >= 2, "{ledger:?}");
    assert_eq!(ledger.received, 1);
}

#[tokio::test]
async fn a_store_that_hangs_makes_no_purchase_and_no_false_answer() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "300ms");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    world.redis.as_ref().unwrap().freeze();
    let status = client
        .purchase_prepaid(order(&code, PLAIN))
        .await
        .unwrap_err();
    assert_eq!(status.code(), GrpcCode::Unavailable, "{status}");
    assert_eq!(
        error_info(&status),
        ("STORE_UNAVAILABLE".into(), "no".into())
    );
    world.redis.as_ref().unwrap().thaw();
    // The claim may have reached Redis after all: it is given up, never sent, and
    // the reference code stays usable.
    let transaction = loop {
        match client.purchase_prepaid(order(&code, PLAIN)).await {
            Ok(answer) if bought(answer.get_ref().clone()).state() == State::Sending => {}
            Ok(answer) => break bought(answer.into_inner()),
            Err(status) => assert_eq!(error_info(&status).1, "no", "{status}"),
        }
    };
    assert_succeeded(&transaction);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

on_both_stores!(
    a_purchase_is_answered_and_found_again,
    every_outcome_settles_on_evidence,
    other_contents_under_a_used_reference_code_are_refused,
    a_refused_connection_sends_nothing_and_the_reference_code_stays_usable,
    a_cancelled_call_does_not_stop_the_purchase,
);
