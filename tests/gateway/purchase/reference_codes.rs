//! A reference code is unique in the whole store: it is bought once under any default account and
//! in any spelling (promises 1 and 5).

use okebayar_gateway::{
    grpc::v1::{
        CheckTransactionRequest, GetTransactionRequest, PurchasePrepaidRequest, TransactionState,
        WaitUntil, WatchTransactionRequest, get_transaction_request::Code as Named,
    },
    inquiries::stored,
    transaction::{AccountName, Inquiry, InquiryCode},
};
use tonic::Code;

use crate::support::{
    bills::store_of,
    on_both_stores, ports,
    process::{CANARY_PIN, Process},
    world::{
        Client, Gateway, PENDING_THEN_SUCCESS, PLAIN, StoreKind, WATER, World, assert_refused,
        assert_succeeded, bought, buy, get, order, pay, payment, question, reference,
    },
};

/// Creates a world with a second account, and returns the port of its sandbox.
async fn two_accounts(kind: StoreKind) -> (World, Process, u16) {
    let mut world = World::new(kind).await;
    let port = ports::free();
    let callbacks = format!("http://127.0.0.1:{}/callbacks/second", world.callbacks_port);
    let more = ["--callback-url", callbacks.as_str()];
    let sandbox = world.sandbox_with(port, "second-member", &more).await;
    world
        .set("default_account", "main")
        .set("accounts.second.url", &format!("http://127.0.0.1:{port}/"))
        .set("accounts.second.userid", "second-member")
        .set("accounts.second.pin", CANARY_PIN);
    (world, sandbox, port)
}

/// Returns the number of purchases of a reference code that the sandbox on a port received.
async fn received(port: u16, code: &str) -> u64 {
    let url = format!("http://127.0.0.1:{port}/ledger/{code}");
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
    entry["received"].as_u64().unwrap()
}

fn naming(account: &str, code: &str) -> PurchasePrepaidRequest {
    PurchasePrepaidRequest {
        account: account.to_owned(),
        ..order(code, PLAIN)
    }
}

async fn changed_default_account_replays_purchase(kind: StoreKind) {
    let (mut world, _sandbox, second) = two_accounts(kind).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let first = buy(&mut gateway.client().await, &code, PLAIN).await;
    assert_eq!(first.account, "main");
    gateway.process.signal("-TERM");
    gateway.process.ended().await;

    world.set("default_account", "second");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let again = client.purchase_prepaid(order(&code, PLAIN)).await.unwrap();
    assert!(again.get_ref().replayed);
    assert_eq!(bought(again.into_inner()), first);
    // A call that names an account other than the paying one is rejected without advice to buy
    // again.
    let other = client.purchase_prepaid(naming("second", &code)).await;
    let refused = assert_refused(other, Code::AlreadyExists, "REFERENCE_CODE_REUSED", "maybe");
    assert!(!refused.message().contains("new"), "{refused}");
    let same = client.purchase_prepaid(naming("main", &code)).await;
    assert!(same.unwrap().into_inner().replayed);
    assert_eq!(world.ledger(&code).await.received, 1);
    assert_eq!(received(second, &code).await, 0);
}

#[tokio::test]
async fn replicas_with_different_default_accounts_buy_once() {
    let (mut world, _sandbox, second) = two_accounts(StoreKind::Redis).await;
    let one = world.start_gateway().await;
    world.set("default_account", "second");
    let two = world.start_replica().await;
    for _ in 0..10 {
        let code = reference();
        let calls = (0..20).map(|number| {
            let gateway: &Gateway = if number % 2 == 0 { &one } else { &two };
            let code = code.clone();
            async move {
                let mut client = gateway.client().await;
                let mut request = order(&code, PLAIN);
                request.set_wait_until(WaitUntil::Terminal);
                bought(client.purchase_prepaid(request).await.unwrap().into_inner())
            }
        });
        let all = futures::future::join_all(calls).await;
        assert!(all.iter().all(|one| one.trace_code == all[0].trace_code));
        let sum = world.ledger(&code).await.received + received(second, &code).await;
        assert_eq!(sum, 1);
    }
}

async fn spellings_of_reference_code_are_equal(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let first = buy(&mut client, &code, PLAIN).await;
    let bare: String = code.chars().filter(|c| *c != '-').collect();
    for spelling in [code.to_uppercase(), bare.clone(), format!("-{bare}-")] {
        let refused = client.purchase_prepaid(order(&spelling, PLAIN)).await;
        assert_refused(
            refused,
            Code::AlreadyExists,
            "REFERENCE_CODE_REUSED",
            "maybe",
        );
        assert_eq!(get(&mut client, &spelling).await.unwrap(), first);
        assert_eq!(
            world.ledger(&spelling).await.received,
            u64::from(spelling == code)
        );
    }
    assert_eq!(first.reference_code, code);
    assert_eq!(world.ledger(&code).await.received, 1);
    let refused = client.purchase_prepaid(order("--------", PLAIN)).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "no");
}

async fn unsent_attempt_keeps_its_account(kind: StoreKind) {
    let (mut world, _sandbox, second) = two_accounts(kind).await;
    world.sandbox = None;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    gateway.process.signal("-TERM");
    gateway.process.ended().await;

    world.set("default_account", "second");
    world.start_sandbox().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let other = client.purchase_prepaid(naming("second", &code)).await;
    assert_refused(other, Code::AlreadyExists, "REFERENCE_CODE_REUSED", "no");
    let again = buy(&mut client, &code, PLAIN).await;
    assert_succeeded(&again);
    assert_eq!(again.account, "main");
    assert_eq!(world.ledger(&code).await.received, 1);
    assert_eq!(received(second, &code).await, 0);
}

async fn read(client: &mut Client, account: &str, code: Named) -> Result<String, tonic::Status> {
    let request = GetTransactionRequest {
        account: account.to_owned(),
        code: Some(code),
    };
    let found = client.get_transaction(request).await?.into_inner();
    Ok(found.transaction.unwrap().reference_code)
}

async fn empty_account_matches_any_and_other_account_is_not_found(kind: StoreKind) {
    let (world, _sandbox, _) = two_accounts(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let request = naming("second", &code);
    let transaction = bought(client.purchase_prepaid(request).await.unwrap().into_inner());
    assert_eq!(transaction.account, "second");
    let by_reference = Named::ReferenceCode(code.clone());
    let by_trace = Named::TraceCode(transaction.trace_code.clone());
    for account in ["", "second"] {
        for named in [&by_reference, &by_trace] {
            assert_eq!(
                read(&mut client, account, named.clone()).await.unwrap(),
                code
            );
        }
    }
    for account in ["main", "nobody"] {
        let found = read(&mut client, account, by_reference.clone()).await;
        assert_refused(found, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
        let found = read(&mut client, account, by_trace.clone()).await;
        assert_eq!(found.unwrap_err().code(), Code::NotFound);
        let request = CheckTransactionRequest {
            account: account.to_owned(),
            reference_code: code.clone(),
        };
        let checked = client.check_transaction(request).await;
        assert_refused(checked, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
        let request = WatchTransactionRequest {
            account: account.to_owned(),
            reference_code: code.clone(),
            ..WatchTransactionRequest::default()
        };
        let watched = client.watch_transaction(request).await;
        assert_refused(
            watched.map(drop),
            Code::NotFound,
            "TRANSACTION_NOT_FOUND",
            "maybe",
        );
    }
}

async fn payment_without_account_uses_account_of_inquiry(kind: StoreKind) {
    let (world, _sandbox, second) = two_accounts(kind).await;
    let gateway = world.start_gateway().await;
    let mut inquirer = gateway.inquirer().await;
    let mut ask = async |account: &str| {
        let mut request = question(WATER, "2000000001");
        request.account = account.to_owned();
        let found = inquirer.inquire_postpaid(request).await.unwrap();
        found.into_inner().inquiry.unwrap()
    };
    let bill = ask("second").await;
    let mut client = gateway.client().await;
    let code = reference();
    let paid = pay(&mut client, &code, &bill).await.unwrap();
    assert_eq!(
        (paid.account.as_str(), paid.state()),
        ("second", TransactionState::Succeeded)
    );
    assert_eq!(received(second, &code).await, 1);
    assert_eq!(world.ledger(&code).await.received, 0);
}

#[tokio::test]
async fn inquiry_code_known_to_two_accounts_requires_account() {
    let (world, _sandbox, _) = two_accounts(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let bill = gateway.bill(WATER, "2000000001").await;
    // The OKEBAYAR of the other account issued the same code.
    let store = store_of(&world).await;
    let account = |name| AccountName::parse(name).unwrap();
    let code = InquiryCode::parse(bill.inquiry_code.as_str()).unwrap();
    let known = stored::load(&store, &account("main"), &code).await;
    let twin = Inquiry {
        account: account("second"),
        ..known.unwrap().unwrap().newest().clone()
    };
    let at = twin.expires_at;
    stored::save(&store, &twin, at).await.unwrap();

    let mut client = gateway.client().await;
    let refused = client.pay_postpaid(payment(&reference(), &bill)).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "no");
    let mut named = payment(&reference(), &bill);
    named.account = "main".to_owned();
    let paid = client.pay_postpaid(named).await.unwrap().into_inner();
    assert_eq!(paid.transaction.unwrap().account, "main");
}

const DECLINED: &str = "080000009404";

/// After a loss a call may reach another account than the one that paid.
#[tokio::test]
async fn never_received_by_one_account_does_not_release_purchase_of_another() {
    let (mut world, _sandbox, second) = two_accounts(StoreKind::Redis).await;
    world
        .set("accounts.main.not_received_codes", "400")
        .set("accounts.second.not_received_codes", "400,404")
        .set("limits.queue_timeout", "500ms")
        .set("store.timeout", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (paid, unknown, declined) = (reference(), reference(), reference());
    let bought = client.purchase_prepaid(naming("second", &paid)).await;
    assert!(bought.is_ok());
    // A record, with a code that means "never received" where there is none.
    let mut request = naming("second", &declined);
    request.account_number = DECLINED.into();
    assert!(client.purchase_prepaid(request).await.is_ok());
    world.flush_redis().await;
    // Both are quarantined under the default account, whose OKEBAYAR knows neither.
    for code in [&paid, &unknown] {
        let held = buy(&mut client, code, PLAIN).await;
        assert_eq!(
            (held.account.as_str(), held.state()),
            ("main", TransactionState::Confirming)
        );
    }
    let held = buy(&mut client, &declined, DECLINED).await;
    assert_eq!(held.state(), TransactionState::Confirming);
    // The code that no account's OKEBAYAR knows is released and bought.
    let freed = gateway
        .until(&unknown, |one| one.state() == TransactionState::NotSent)
        .await;
    assert_eq!(freed.account, "main");
    assert_succeeded(&buy(&mut client, &unknown, PLAIN).await);
    // The code that one of them knows is checked as often and stays quarantined.
    let checks = world.ledger(&unknown).await.checks;
    let at_least = format!("checks={}", checks + 2);
    world.ledger_when(&paid, &at_least).await;
    let held = buy(&mut client, &paid, PLAIN).await;
    assert_eq!(held.state(), TransactionState::Confirming, "{held:#?}");
    world.ledger_when(&declined, &at_least).await;
    let held = buy(&mut client, &declined, DECLINED).await;
    assert_eq!(held.state(), TransactionState::Confirming, "{held:#?}");
    assert_eq!(received(second, &paid).await, 1);
    assert_eq!(world.ledger(&paid).await.received, 0);
}

/// A rollout removes an account, and Redis is flushed: the remaining gateways cannot ask the
/// OKEBAYAR of the account that paid.
#[tokio::test]
async fn never_received_does_not_release_purchase_of_removed_account_after_flush() {
    let (mut world, _sandbox, second) = two_accounts(StoreKind::Redis).await;
    world
        .set("accounts.main.not_received_codes", "400")
        .set("checks.give_up_after", "8s")
        .set("limits.queue_timeout", "500ms")
        .set("store.timeout", "2s");
    let mut leaving = world.start_gateway().await;
    world.remove_account("second");
    let staying = world.start_replica().await;
    let code = reference();
    let mut client = leaving.client().await;
    let bought = client.purchase_prepaid(naming("second", &code)).await;
    assert!(bought.is_ok());
    leaving.process.signal("-TERM");
    assert!(leaving.process.ended().await.success());
    world.flush_redis().await;
    let mut client = staying.client().await;
    let held = buy(&mut client, &code, PLAIN).await;
    assert_eq!(
        (held.account.as_str(), held.state()),
        ("main", TransactionState::Confirming)
    );
    // Beyond the next verification: with and without the names of the accounts.
    let settled = staying
        .until(&code, |one| one.state() != TransactionState::Confirming)
        .await;
    assert_eq!(
        settled.state(),
        TransactionState::NeedsReview,
        "{settled:#?}"
    );
    let again = client.purchase_prepaid(order(&code, PLAIN)).await.unwrap();
    assert!(again.into_inner().replayed);
    assert!(world.ledger(&code).await.checks > 2);
    assert_eq!(received(second, &code).await, 1);
    assert_eq!(world.ledger(&code).await.received, 0);
}

async fn callback_at_address_of_another_account_is_orphan(kind: StoreKind) {
    let (mut world, _sandbox, _) = two_accounts(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let before = buy(&mut client, &code, crate::support::world::PENDING_FOR_EVER).await;
    let url = format!(
        "http://{}/callbacks/second?referencecode={code}&status=000&serialnumber=1",
        gateway.callbacks
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
    assert_eq!(get(&mut client, &code).await.unwrap(), before);
}

#[tokio::test]
async fn unconfigured_account_is_rejected_but_readable() {
    let (mut world, _sandbox, _) = two_accounts(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let first = client
        .purchase_prepaid(naming("second", &code))
        .await
        .unwrap();
    let first = bought(first.into_inner());
    gateway.process.signal("-TERM");
    gateway.process.ended().await;
    for key in ["url", "userid", "pin"] {
        world.unset(&format!("accounts.second.{key}"));
    }
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_eq!(get(&mut client, &code).await.unwrap(), first);
    let replay = client
        .purchase_prepaid(naming("second", &code))
        .await
        .unwrap();
    assert!(replay.into_inner().replayed);
    let refused = client
        .purchase_prepaid(naming("second", &reference()))
        .await;
    let refused = assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "no");
    assert!(
        refused
            .message()
            .starts_with("account: there is no account \"second\"")
    );
}

#[tokio::test]
async fn pending_purchase_settles_under_changed_default_account() {
    let (mut world, _sandbox, _) = two_accounts(StoreKind::Redis).await;
    let one = world.start_gateway().await;
    world.set("default_account", "second");
    let two = world.start_replica().await;
    let code = reference();
    let mut client = one.client().await;
    let pending = buy(&mut client, &code, PENDING_THEN_SUCCESS).await;
    assert_eq!(pending.state(), TransactionState::Pending);
    assert_succeeded(&two.until_final(&code).await);
}

on_both_stores!(
    changed_default_account_replays_purchase,
    spellings_of_reference_code_are_equal,
    unsent_attempt_keeps_its_account,
    empty_account_matches_any_and_other_account_is_not_found,
    payment_without_account_uses_account_of_inquiry,
    callback_at_address_of_another_account_is_orphan,
);
