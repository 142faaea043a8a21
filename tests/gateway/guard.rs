//! The failover guard (promise 1): a store that lost records buys nothing again.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okebayar_gateway::{
    grpc::v1::{CheckTransactionRequest, PurchasePrepaidRequest, Reason, State, Transaction},
    transaction::ReferenceCode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tonic::Code;

use crate::support::{
    on_both_stores,
    process::{PATIENCE, Process},
    redis::Redis,
    world::{
        ANSWER_AND_CALLBACK_LOST, BINARY, Client, Gateway, PENDING_FOR_EVER, PLAIN, SLOW,
        StoreKind, USER_ID, WATER, World, assert_refused, assert_succeeded, bought, buy,
        error_info, get, minted, order, pay, prepaid_question, reference,
    },
};

const CUSTOMERS: [&str; 3] = ["512345678902", "512345678903", "512345678904"];

async fn stop(gateway: Gateway) {
    let mut gateway = gateway;
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

fn beside_store(world: &World, ending: &str) -> PathBuf {
    let mut path = world.store_file().into_os_string();
    path.push(ending);
    path.into()
}

fn copy_of_store(world: &World) -> PathBuf {
    world.path().join("backup.redb")
}

/// Backs the store up; no gateway runs.
async fn back_up(world: &World) {
    match &world.redis {
        Some(redis) => redis.command(&["SAVE"]).await,
        None => drop(std::fs::copy(world.store_file(), copy_of_store(world)).unwrap()),
    }
}

/// Puts the backup in the place of the store, as docs/OPERATIONS.md says.
async fn restore(world: &mut World) {
    if let Some(redis) = &mut world.redis {
        redis.kill().await;
        redis.start_again().await;
        return;
    }
    std::fs::copy(copy_of_store(world), beside_store(world, ".restore")).unwrap();
}

const REASON: &str = "the caller's books are complete";

fn start_guard(world: &World, action: &str) -> Process {
    let mut arguments = vec!["guard", action];
    if action == "end" {
        arguments.extend(["--reason", REASON]);
    }
    Process::start(BINARY, &arguments, &world.environment(), world.path())
}

/// What `guard <action>` prints.
async fn guard(world: &World, action: &str) -> String {
    let mut process = start_guard(world, action);
    assert!(process.ended().await.success(), "{}", process.text());
    process.text()
}

fn short_skew(world: &mut World) -> &mut World {
    world.set("store.clock_skew", "1s")
}

fn assert_held_back(transaction: &Transaction) {
    assert_eq!(transaction.state(), State::Confirming, "{transaction:#?}");
    assert_eq!(transaction.reason(), Reason::HeldBack, "{transaction:#?}");
    assert!(!transaction.safe_to_refund && !transaction.safe_to_buy_again);
    let told = &transaction.timeline.last().unwrap().description;
    assert!(told.contains("was held back"), "{told}");
}

async fn what_a_restored_store_forgot_is_found_not_bought_again(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let (kept, forgotten) = (reference(), reference());
    assert_succeeded(&buy(&mut gateway.client().await, &kept, PLAIN).await);
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &forgotten, PLAIN).await);
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let gone = get(&mut client, &forgotten).await;
    assert_refused(gone, Code::NotFound, "TRANSACTION_NOT_FOUND", "maybe");
    let again = client.purchase_prepaid(order(&forgotten, PLAIN)).await;
    let again = again.unwrap().into_inner();
    assert!(!again.replayed);
    assert_held_back(&bought(again));
    let replay = client.purchase_prepaid(order(&forgotten, PLAIN)).await;
    let replay = replay.unwrap().into_inner();
    assert!(replay.replayed);
    assert_held_back(&bought(replay));
    let kept = client.purchase_prepaid(order(&kept, PLAIN)).await;
    let kept = kept.unwrap().into_inner();
    assert!(kept.replayed, "what the backup has is as it was");
    assert_succeeded(&bought(kept));

    redeem(&gateway, &forgotten).await;
    let found = gateway.until_final(&forgotten).await;
    assert_succeeded(&found);
    let told = &found.timeline[0].description;
    assert!(told.starts_with("attempt 1 was held back"), "{told}");
    let ledger = world.ledger(&forgotten).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// Has the check made that was planned for much later.
async fn redeem(gateway: &Gateway, code: &str) {
    let request = CheckTransactionRequest {
        reference_code: code.to_owned(),
        ..CheckTransactionRequest::default()
    };
    let mut client = gateway.client().await;
    client.check_transaction(request).await.unwrap();
}

async fn what_was_never_sent_may_be_bought_once_okebayar_says_so(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world)
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s");
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    assert_held_back(&buy(&mut client, &code, PLAIN).await);
    let unsent = gateway
        .until(&code, |now| now.state() == State::NotSent)
        .await;
    assert_eq!(unsent.reason(), Reason::NotReceived);
    assert!(unsent.safe_to_refund && !unsent.r#final);
    assert_eq!(world.ledger(&code).await.received, 0);

    let answer = client.purchase_prepaid(order(&code, PLAIN)).await.unwrap();
    assert_succeeded(&bought(answer.into_inner()));
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

async fn what_nobody_can_tell_ends_before_a_human(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.set("checks.give_up_after", "1s");
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let (code, other) = (reference(), reference());
    // The store forgets that an inquiry was made under the same code, and that is what
    // a check finds, with a 000.
    let inquiry = prepaid_question(&code, "HPLNPRA20", "514444444444");
    let mut inquirer = gateway.inquirer().await;
    inquirer.inquire_prepaid(inquiry).await.unwrap();
    stop(gateway).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut wanted = order(&code, "514444444444");
    "HPLNPRA20".clone_into(&mut wanted.product_code);
    let held = client.purchase_prepaid(wanted).await.unwrap().into_inner();
    assert_held_back(&bought(held));
    assert_held_back(&buy(&mut client, &other, PLAIN).await);
    for code in [code, other] {
        let found = gateway
            .until(&code, |now| now.state() == State::NeedsReview)
            .await;
        assert!(!found.safe_to_refund && !found.safe_to_buy_again);
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

/// Buys under ever newer codes until one is not held back.
async fn buy_until_sent(world: &World, client: &mut Client, code: impl Fn() -> String) {
    let buying = async {
        loop {
            let code = code();
            let transaction = buy(client, &code, PLAIN).await;
            if transaction.reason() != Reason::HeldBack {
                assert_succeeded(&transaction);
                assert_eq!(world.ledger(&code).await.received, 1);
                return;
            }
            assert_eq!(world.ledger(&code).await.received, 0);
        }
    };
    tokio::time::timeout(PATIENCE, buying)
        .await
        .expect("everything is held back");
}

async fn a_code_that_was_made_after_the_loss_is_bought(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world).check_rarely();
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let before = minted(0);
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    buy_until_sent(&world, &mut client, || minted(0)).await;
    for code in [before, reference(), minted(60_000)] {
        assert_held_back(&buy(&mut client, &code, PLAIN).await);
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

async fn a_bill_is_paid_only_if_its_inquiry_is_as_young(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let old = gateway.bill(WATER, CUSTOMERS[0]).await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let (forgotten, paid) = (gateway.bill(WATER, CUSTOMERS[2]).await, reference());
    let mut client = gateway.client().await;
    pay(&mut client, &paid, &forgotten).await.unwrap();
    stop(gateway).await;
    restore(&mut world).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    buy_until_sent(&world, &mut client, || minted(0)).await;

    // That its inquiry is not known says nothing of whether it was paid.
    let again = pay(&mut client, &paid, &forgotten).await;
    assert_refused(again, Code::FailedPrecondition, "MAY_BE_FORGOTTEN", "maybe");
    assert_eq!(world.ledger(&paid).await.received, 1);
    let code = minted(0);
    let never = pay(&mut client, &code, &forgotten).await;
    assert_refused(never, Code::NotFound, "INQUIRY_NOT_FOUND", "no");
    let never = get(&mut client, &code).await;
    assert_refused(never, Code::NotFound, "TRANSACTION_NOT_FOUND", "no");

    let code = minted(0);
    assert_held_back(&pay(&mut client, &code, &old).await.unwrap());
    assert_eq!(world.ledger(&code).await.received, 0);
    let young = gateway.bill(WATER, CUSTOMERS[1]).await;
    let code = minted(0);
    let paid = pay(&mut client, &code, &young).await.unwrap();
    assert_eq!(paid.state(), State::Succeeded, "{paid:#?}");
    assert_eq!(world.ledger(&code).await.executed, 1);
}

async fn a_stale_not_sent_is_no_licence_to_send(kind: StoreKind) {
    let mut world = World::without_sandbox(kind).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = client.purchase_prepaid(order(&code, PLAIN)).await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    stop(gateway).await;
    back_up(&world).await;
    // It is bought under the same code after the backup, so the store forgets that.
    world.start_sandbox().await;
    let gateway = world.start_gateway().await;
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let stale = get(&mut client, &code).await.unwrap();
    assert_eq!(stale.state(), State::NotSent);
    // Long enough after the loss for whatever is new.
    buy_until_sent(&world, &mut client, || minted(0)).await;
    // It is no licence to buy under another code either.
    let other = PurchasePrepaidRequest {
        product_code: "PULSA5".to_owned(),
        ..order(&code, PLAIN)
    };
    let other = client.purchase_prepaid(other).await;
    assert_refused(other, Code::AlreadyExists, "REFERENCE_CODE_REUSED", "maybe");
    assert_held_back(&buy(&mut client, &code, PLAIN).await);
    redeem(&gateway, &code).await;
    assert_succeeded(&gateway.until_final(&code).await);
    let ledger = world.ledger(&code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

/// A sandbox in the place of the other, which never heard of anything.
async fn forget_at_okebayar(world: &mut World) {
    world.sandbox.take().unwrap().kill().await;
    world.start_sandbox().await;
}

/// OKEBAYAR shows the purchase that the store forgot, then says that it never received
/// it: no licence to send.
async fn what_okebayar_showed_once_is_not_sent_again(kind: StoreKind) {
    let mut world = World::new(kind).await;
    short_skew(&mut world)
        .check_rarely()
        .set("accounts.main.not_received_codes", "400")
        .set("limits.queue_timeout", "1s");
    let gateway = world.start_gateway().await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    assert_held_back(&buy(&mut client, &code, PENDING_FOR_EVER).await);
    redeem(&gateway, &code).await;
    let shown = get(&mut client, &code).await.unwrap();
    let told = &shown.timeline.last().unwrap().description;
    assert!(told.contains("knows the reference code"), "{shown:#?}");
    assert_eq!(shown.reason(), Reason::HeldBack, "it settles nothing");
    forget_at_okebayar(&mut world).await;
    let settled = until_checked(&gateway, &code).await;
    assert_eq!(settled.state(), State::NeedsReview, "{settled:#?}");
    assert!(settled.contradicted && !settled.safe_to_refund);
    let replay = client
        .purchase_prepaid(order(&code, PENDING_FOR_EVER))
        .await;
    assert!(replay.unwrap().into_inner().replayed);
    assert_eq!(world.ledger(&code).await.received, 0, "by the new sandbox");
}

/// Has it checked until it is no longer CONFIRMING or PENDING.
async fn until_checked(gateway: &Gateway, code: &str) -> Transaction {
    let checking = async {
        loop {
            redeem(gateway, code).await;
            let now = get(&mut gateway.client().await, code).await.unwrap();
            if ![State::Confirming, State::Pending].contains(&now.state()) {
                return now;
            }
        }
    };
    tokio::time::timeout(PATIENCE, checking).await.unwrap()
}

async fn call_back(gateway: &Gateway, code: &str) {
    let url = format!(
        "http://{}/callbacks/main?referencecode={code}&status=000",
        gateway.callbacks
    );
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

async fn the_end_of_the_guard_releases_what_nobody_knows(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    // Which code it is stands nowhere, and none is configured.
    world.not_found_code("204").await;
    let gateway = world.start_gateway().await;
    stop(gateway).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let sent = reference();
    buy(&mut gateway.client().await, &sent, PENDING_FOR_EVER).await;
    stop(gateway).await;
    restore(&mut world).await;

    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (unknown, unchecked) = (reference(), reference());
    let (called_back, orphaned) = (reference(), reference());
    // By another spelling, before the gateway knew the reference code.
    call_back(&gateway, &orphaned.replace('-', "").to_uppercase()).await;
    for code in [&unknown, &unchecked, &called_back, &orphaned] {
        assert_held_back(&buy(&mut client, code, PLAIN).await);
    }
    assert_held_back(&buy(&mut client, &sent, PENDING_FOR_EVER).await);
    call_back(&gateway, &called_back).await;
    for code in [&unknown, &called_back, &orphaned, &sent] {
        redeem(&gateway, code).await;
    }
    let gateway = if kind == StoreKind::Embedded {
        stop(gateway).await;
        None
    } else {
        Some(gateway)
    };
    let told = guard(&world, "end").await;
    assert!(
        told.contains("1 quarantined transactions are NOT_SENT"),
        "{told}"
    );
    assert!(told.contains("4 stay quarantined"), "{told}");
    // Keys leave out case and hyphens, or keep them.
    let line_of = |code: &str| {
        let found = told.lines().find(|line| {
            let line = line.replace('-', "").to_lowercase();
            line.contains(&code.replace('-', "").to_lowercase())
        });
        found.map(str::to_owned).unwrap_or_default()
    };
    assert!(
        line_of(&unchecked).contains("not answered a check"),
        "{told}"
    );
    assert!(
        line_of(&called_back).contains("a callback named it"),
        "{told}"
    );
    assert!(line_of(&orphaned).contains("a callback named it"), "{told}");
    assert!(
        line_of(&sent).contains("evidence that it was sent"),
        "{told}"
    );
    assert_eq!(line_of(&unknown), "", "{told}");
    let again = guard(&world, "end").await;
    assert!(again.contains("0 quarantined transactions"), "{again}");

    let gateway = match gateway {
        Some(gateway) => gateway,
        None => world.start_gateway().await,
    };
    let released = gateway
        .until(&unknown, |now| now.state() == State::NotSent)
        .await;
    let decided = released.timeline.last().unwrap();
    assert_eq!(
        (decided.operator.as_str(), decided.note.as_str()),
        ("guard end", REASON)
    );
    let mut client = gateway.client().await;
    for code in [&unchecked, &called_back, &orphaned, &sent] {
        let kept = get(&mut client, code).await.unwrap();
        assert_eq!(kept.state(), State::Confirming, "{kept:#?}");
    }
    assert_succeeded(&buy(&mut client, &unknown, PLAIN).await);
    let ledger = world.ledger(&unknown).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
}

on_both_stores!(
    what_okebayar_showed_once_is_not_sent_again,
    the_end_of_the_guard_releases_what_nobody_knows,
    what_a_restored_store_forgot_is_found_not_bought_again,
    what_was_never_sent_may_be_bought_once_okebayar_says_so,
    what_nobody_can_tell_ends_before_a_human,
    a_code_that_was_made_after_the_loss_is_bought,
    a_bill_is_paid_only_if_its_inquiry_is_as_young,
    a_stale_not_sent_is_no_licence_to_send,
);

/// The purchase as first answered, once the store answers again.
async fn buy_again(client: &mut Client, code: &str) -> Transaction {
    let buying = async {
        loop {
            match client.purchase_prepaid(order(code, PLAIN)).await {
                Ok(answer) => return bought(answer.into_inner()),
                Err(status) => {
                    let (reason, sent) = error_info(&status);
                    assert_eq!(
                        (reason.as_str(), sent.as_str()),
                        ("STORE_UNAVAILABLE", "maybe")
                    );
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, buying).await.unwrap()
}

#[tokio::test]
async fn a_running_gateway_notices_that_redis_lost_everything() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "1s").check_rarely();
    let (gateway, other) = (world.start_gateway().await, world.start_replica().await);
    let mut client = gateway.client().await;
    let codes = [reference(), reference()];
    for code in &codes {
        assert_succeeded(&buy(&mut client, code, PLAIN).await);
    }
    let redis = world.redis.as_mut().unwrap();
    redis.kill().await;
    redis.start_again().await;
    for (gateway, code) in [(&gateway, &codes[0]), (&other, &codes[1])] {
        let mut client = gateway.client().await;
        assert_held_back(&buy_again(&mut client, code).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
}

#[tokio::test]
async fn what_is_in_flight_is_written_again() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let slow = ["--settle-after", "1s"];
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, USER_ID, &slow).await);
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let buying = tokio::spawn({
        let code = code.clone();
        async move { buy(&mut client, &code, SLOW).await }
    });
    world.ledger_when(&code, "received=1").await;
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    assert_succeeded(&buying.await.unwrap());
    let mut client = gateway.client().await;
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    assert_succeeded(&gateway.until_final(&code).await);
    let replay = client.purchase_prepaid(order(&code, SLOW)).await.unwrap();
    assert!(replay.into_inner().replayed);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses the attempt that is being sent, and holds the one before it, which was not.
#[tokio::test]
async fn unknown_outcome_is_kept_although_redis_holds_an_earlier_not_sent() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    world.check_rarely().set("accounts.main.timeout", "2s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let code = reference();
    let refused = client
        .purchase_prepaid(order(&code, ANSWER_AND_CALLBACK_LOST))
        .await;
    assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    let mut redis = world.redis.as_ref().unwrap().connection().await;
    let pattern = format!("okb:*:tx:{}", code.replace('-', ""));
    let mut find = redis::cmd("KEYS");
    let found: Vec<String> = find.arg(pattern).query_async(&mut redis).await.unwrap();
    let [record] = &found[..] else {
        panic!("{found:?}");
    };
    let mut dump = redis::cmd("DUMP");
    let not_sent: Vec<u8> = dump.arg(record).query_async(&mut redis).await.unwrap();

    world.start_sandbox().await;
    let buying = tokio::spawn({
        let wanted = order(&code, ANSWER_AND_CALLBACK_LOST);
        async move { client.purchase_prepaid(wanted).await }
    });
    world.ledger_when(&code, "received=1").await;
    let mut put_back = redis::cmd("RESTORE");
    put_back
        .arg(record)
        .arg(0)
        .arg(&not_sent[..])
        .arg("REPLACE");
    put_back.exec_async(&mut redis).await.unwrap();

    let told = buying.await.unwrap();
    assert_refused(told, Code::Unknown, "OUTCOME_UNREADABLE", "maybe");
    // A watch would end at the NOT_SENT.
    let mut client = gateway.client().await;
    let reviewed = async {
        loop {
            let seen = get(&mut client, &code).await.unwrap();
            if seen.state() == State::NeedsReview {
                return seen;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, reviewed).await.unwrap();
    assert!(told.contradicted && !told.safe_to_refund && !told.safe_to_buy_again);
    let mut client = gateway.client().await;
    let again = buy(&mut client, &code, ANSWER_AND_CALLBACK_LOST).await;
    assert_eq!(again.state(), State::NeedsReview, "{again:#?}");
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses the purchase that is being sent, and another one is held back in its place.
#[tokio::test]
async fn outcome_of_a_lost_purchase_is_not_taken_for_that_of_another_order() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let slow = ["--settle-after", "2s"];
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, USER_ID, &slow).await);
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let buying = tokio::spawn({
        let code = code.clone();
        async move { client.purchase_prepaid(order(&code, SLOW)).await }
    });
    world.ledger_when(&code, "received=1").await;
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    let other = PurchasePrepaidRequest {
        product_code: "PULSA5".to_owned(),
        ..order(&code, SLOW)
    };
    let mut client = gateway.client().await;
    let held = client.purchase_prepaid(other).await.unwrap().into_inner();
    assert_held_back(&bought(held));
    let _ = buying.await.unwrap();
    let is_review = |seen: &Transaction| seen.state() == State::NeedsReview;
    let settled = gateway.until(&code, is_review).await;
    assert_eq!(settled.product_code, "PULSA5");
    assert!(!settled.safe_to_refund && !settled.safe_to_buy_again);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// Redis loses that the reference code was used for an inquiry, with the purchase that is
/// being sent under it.
#[tokio::test]
async fn failure_found_after_a_loss_may_be_that_of_a_forgotten_inquiry() {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely().set("accounts.main.timeout", "2s");
    let gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    let buying = tokio::spawn({
        let code = code.clone();
        async move { buy(&mut client, &code, ANSWER_AND_CALLBACK_LOST).await }
    });
    world.ledger_when(&code, "received=1").await;
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    let told = buying.await.unwrap();
    assert_eq!(told.state(), State::Confirming, "{told:#?}");
    let refused = r#"{"transactionstatus":"204"}"#;
    world.misprint(ANSWER_AND_CALLBACK_LOST, refused).await;
    redeem(&gateway, &code).await;
    let mut client = gateway.client().await;
    let checked = get(&mut client, &code).await.unwrap();
    assert_eq!(checked.state(), State::Confirming, "{checked:#?}");
}

/// "Already paid" may be about a payment that the store has lost.
#[tokio::test]
async fn already_paid_bill_escalates_to_review_while_the_guard_is_on() {
    const PAID_ALREADY: &str = "080000009401";
    let mut world = World::new(StoreKind::Redis).await;
    short_skew(&mut world).check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let before = gateway.bill(WATER, PAID_ALREADY).await;
    let paid = pay(&mut client, &minted(0), &before).await.unwrap();
    assert_eq!(paid.state(), State::Failed, "{paid:#?}");
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    buy_until_sent(&world, &mut client, || minted(0)).await;
    let bill = gateway.bill(WATER, PAID_ALREADY).await;
    let paid = pay(&mut client, &minted(0), &bill).await.unwrap();
    assert_eq!(paid.state(), State::NeedsReview, "{paid:#?}");
    assert_eq!(paid.reason(), Reason::PaidMeanwhile, "{paid:#?}");
}

/// The payment was sent before the loss, and is answered before anybody notices that.
#[tokio::test]
async fn already_paid_bill_escalates_to_review_before_the_loss_is_noticed() {
    let mut world = World::without_sandbox(StoreKind::Redis).await;
    let slow = ["--settle-after", "1s"];
    world.sandbox = Some(world.sandbox_with(world.sandbox_port, USER_ID, &slow).await);
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let bill = gateway.bill(WATER, SLOW).await;
    world.misprint(SLOW, r#"{"responsecode":"401"}"#).await;
    let code = reference();
    let paying = tokio::spawn({
        let (mut client, code) = (gateway.client().await, code.clone());
        async move { pay(&mut client, &code, &bill).await }
    });
    world.ledger_when(&code, "received=1").await;
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    let _ = paying.await.unwrap();
    let is_review = |seen: &Transaction| seen.state() == State::NeedsReview;
    let told = gateway.until(&code, is_review).await;
    assert_eq!(told.reason(), Reason::PaidMeanwhile, "{told:#?}");
}

#[tokio::test]
async fn what_one_attempt_did_not_send_says_nothing_of_another() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.failover_guard", "0s");
    let sends = world.start_replica().await;
    // Nobody answers its TLS handshake, so it is certain that it sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    world.set("accounts.main.url", &url);
    let mut stalls = world.start_gateway().await;
    let code = reference();
    let mut client = stalls.client().await;
    let stalled = tokio::spawn({
        let code = code.clone();
        async move { client.purchase_prepaid(order(&code, PLAIN)).await }
    });
    let (connection, _) = silent.accept().await.unwrap();
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    let mut client = sends.client().await;
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    drop(connection);
    let told = stalled.await.unwrap().unwrap().into_inner();
    assert_succeeded(&bought(told));
    stalls.process.signal("-TERM");
    assert!(stalls.process.ended().await.success());
    assert_succeeded(&get(&mut client, &code).await.unwrap());
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn an_operator_sees_it_and_ends_it() {
    let mut world = World::new(StoreKind::Redis).await;
    world.set("store.timeout", "1s").check_rarely();
    let mut gateway = world.start_gateway().await;
    assert_eq!(guard(&world, "show").await, "the failover guard is off");
    let redis = world.redis.as_mut().unwrap();
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let mut client = gateway.client().await;
    assert_held_back(&buy_again(&mut client, &reference()).await);
    let warned = |line: &str| line.contains("store may have lost records").then_some(());
    gateway.process.line(warned).await;
    let told = guard(&world, "show").await;
    assert!(
        told.starts_with("the failover guard is on since "),
        "{told}"
    );
    let told = guard(&world, "end").await;
    assert!(told.starts_with("the failover guard is off\n"), "{told}");
    let told = guard(&world, "show").await;
    let (first, ended) = told.split_once('\n').unwrap();
    assert_eq!(first, "the failover guard is off");
    assert!(ended.starts_with("ended at "), "{told}");
    assert!(ended.ends_with(REASON), "{told}");
    // A running gateway hears of it soon.
    buy_until_sent(&world, &mut client, reference).await;
    let told = guard(&world, "start").await;
    assert!(
        told.starts_with("the failover guard is on since "),
        "{told}"
    );
    assert_held_back(&buy_until_held_back(&mut client).await);
}

async fn buy_until_held_back(client: &mut Client) -> Transaction {
    let buying = async {
        loop {
            let transaction = buy(client, &reference(), PLAIN).await;
            if transaction.reason() == Reason::HeldBack {
                return transaction;
            }
        }
    };
    tokio::time::timeout(PATIENCE, buying).await.unwrap()
}

#[tokio::test]
async fn without_a_guard_a_restart_changes_nothing() {
    let mut world = World::new(StoreKind::Redis).await;
    world
        .set("store.timeout", "1s")
        .set("store.failover_guard", "0s");
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_mut().unwrap();
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let mut client = gateway.client().await;
    assert_succeeded(&buy_again(&mut client, &reference()).await);
}

#[tokio::test]
async fn the_guard_of_an_embedded_store_is_set_while_no_gateway_runs() {
    let world = World::new(StoreKind::Embedded).await;
    let fails = async |action: &str| {
        let mut process = start_guard(&world, action);
        assert!(!process.ended().await.success());
        process.text()
    };
    assert!(fails("show").await.contains("store.path: there is no "));
    let gateway = world.start_gateway().await;
    assert!(fails("start").await.contains("stop the gateway first"));
    stop(gateway).await;
    assert!(guard(&world, "start").await.contains(" is on since "));
    let told = guard(&world, "end").await;
    assert!(told.starts_with("the failover guard is off\n"), "{told}");
    // No end without a reason.
    for arguments in [&["guard", "end"][..], &["guard", "end", "--reason", " "]] {
        let mut process = Process::start(BINARY, arguments, &world.environment(), world.path());
        assert!(!process.ended().await.success());
        assert!(process.text().contains("--reason"), "{}", process.text());
    }
}

#[tokio::test]
async fn the_guard_does_not_end_over_a_loss_that_nobody_has_noticed() {
    let mut world = World::new(StoreKind::Redis).await;
    stop(world.start_gateway().await).await;
    let redis = world.redis.as_mut().unwrap();
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let mut ending = start_guard(&world, "end");
    assert!(!ending.ended().await.success());
    let text = ending.text();
    assert!(text.contains("no gateway has noticed yet"), "{text}");
    assert!(guard(&world, "start").await.contains(" is on since "));
    let told = guard(&world, "end").await;
    assert!(told.starts_with("the failover guard is off\n"), "{told}");
}

#[tokio::test]
async fn the_guard_does_not_end_over_an_emptied_redis_that_gateways_use() {
    let mut world = World::new(StoreKind::Redis).await;
    let way = way_to_redis(&mut world).await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    let fails = async || {
        let mut ending = start_guard(&world, "end");
        assert!(!ending.ended().await.success(), "{}", ending.text());
        let text = ending.text();
        assert!(text.contains("no gateway has noticed yet"), "{text}");
    };
    // The gateway looks seconds later.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    fails().await;
    assert_held_back(&buy(&mut gateway.client().await, &reference(), PLAIN).await);
    // Its connections break as well.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    way.target.send(redis.port()).unwrap();
    fails().await;
    assert_held_back(&buy_until_held_back(&mut gateway.client().await).await);
}

#[tokio::test]
async fn guard_show_writes_nothing_to_an_embedded_store() {
    let world = World::new(StoreKind::Embedded).await;
    stop(world.start_gateway().await).await;
    let before = std::fs::read(world.store_file()).unwrap();
    assert_eq!(guard(&world, "show").await, "the failover guard is off");
    let after = std::fs::read(world.store_file()).unwrap();
    assert!(before == after, "the file has changed");
}

#[tokio::test]
async fn guard_show_writes_nothing_to_redis() {
    let mut world = World::new(StoreKind::Redis).await;
    let told = guard(&world, "show").await;
    assert!(told.contains("no gateway has used this store"), "{told}");
    assert_eq!(world.redis.as_ref().unwrap().count().await, 0);
    // What nobody has noticed yet is told, and left to be noticed.
    stop(world.start_gateway().await).await;
    let redis = world.redis.as_mut().unwrap();
    redis.command(&["SAVE"]).await;
    redis.kill().await;
    redis.start_again().await;
    let count = redis.count().await;
    for _ in 0..2 {
        let told = guard(&world, "show").await;
        assert!(told.contains("may have lost records"), "{told}");
    }
    assert_eq!(world.redis.as_ref().unwrap().count().await, count);
}

/// Redis is emptied while two gateways run, and `first` comes before they look.
async fn an_emptied_redis_buys_nothing_again(first: impl AsyncFn(&World) -> Option<Gateway>) {
    let mut world = World::new(StoreKind::Redis).await;
    world.check_rarely();
    let (one, two) = (world.start_gateway().await, world.start_replica().await);
    let codes = [reference(), reference()];
    for code in &codes {
        assert_succeeded(&buy(&mut one.client().await, code, PLAIN).await);
    }
    world.redis.as_ref().unwrap().command(&["FLUSHALL"]).await;
    let newcomer = first(&world).await;
    if let Some(newcomer) = &newcomer {
        // It has seen nothing of the store that is gone, but that others have.
        assert_held_back(&buy(&mut newcomer.client().await, &codes[1], PLAIN).await);
    }
    for (gateway, code) in [(&one, &codes[0]), (&two, &codes[1])] {
        assert_held_back(&buy(&mut gateway.client().await, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    if let Some(newcomer) = newcomer {
        let code = reference();
        assert_held_back(&buy(&mut newcomer.client().await, &code, PLAIN).await);
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}

#[tokio::test]
async fn an_emptied_redis_buys_nothing_again_although_guard_show_looked_first() {
    an_emptied_redis_buys_nothing_again(async |world| {
        guard(world, "show").await;
        assert_eq!(world.redis.as_ref().unwrap().count().await, 0);
        None
    })
    .await;
}

#[tokio::test]
async fn an_emptied_redis_buys_nothing_again_although_another_gateway_started_first() {
    an_emptied_redis_buys_nothing_again(async |world| Some(world.start_replica().await)).await;
}

/// The connections of the running gateway break with it, as when Redis restarts.
#[tokio::test]
async fn an_emptied_redis_buys_nothing_again_although_another_gateway_connected_first() {
    let mut world = World::new(StoreKind::Redis).await;
    let direct = world.redis.as_ref().unwrap().url.clone();
    let way = way_to_redis(&mut world).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    world.set("store.url", &direct);
    let redis = world.redis.as_ref().unwrap();
    // It looks seconds later.
    await_verification(redis).await;
    redis.command(&["FLUSHALL"]).await;
    way.target.send(redis.port()).unwrap();
    let newcomer = world.start_replica().await;
    for gateway in [&newcomer, &gateway] {
        assert_held_back(&buy(&mut gateway.client().await, &code, PLAIN).await);
    }
    assert_eq!(world.ledger(&code).await.received, 1);
}

#[tokio::test]
async fn a_store_that_a_gateway_uses_is_not_replaced_and_another_is_kept() {
    let mut world = World::new(StoreKind::Embedded).await;
    stop(world.start_gateway().await).await;
    back_up(&world).await;
    let gateway = world.start_gateway().await;
    let code = reference();
    assert_succeeded(&buy(&mut gateway.client().await, &code, PLAIN).await);
    restore(&mut world).await;
    let mut second = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!second.ended().await.success());
    assert!(
        second.text().contains("cannot be restored: "),
        "{}",
        second.text()
    );
    assert!(get(&mut gateway.client().await, &code).await.is_ok());
    stop(gateway).await;

    stop(world.start_gateway().await).await;
    assert!(!beside_store(&world, ".restore").exists());
    let replaced = beside_store(&world, ".replaced");
    restore(&mut world).await;
    let mut again = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!again.ended().await.success());
    assert!(again.text().contains("move it away"), "{}", again.text());
    std::fs::remove_file(beside_store(&world, ".restore")).unwrap();
    std::fs::rename(replaced, world.store_file()).unwrap();
    let gateway = world.start_gateway().await;
    assert_succeeded(&get(&mut gateway.client().await, &code).await.unwrap());
}

/// Forwards connections to a port that can change: then open ones are cut. Counts them.
async fn forward(listener: TcpListener, target: watch::Receiver<u16>, count: Arc<AtomicUsize>) {
    while let Ok((mut near, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        let mut target = target.clone();
        let port = *target.borrow_and_update();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = target.changed() => {}
            }
        });
    }
}

/// The gateways' way to Redis.
struct Way {
    target: watch::Sender<u16>,
    connections: Arc<AtomicUsize>,
}

/// Puts a way between a world's gateways and its Redis.
async fn way_to_redis(world: &mut World) -> Way {
    let (target, receiver) = watch::channel(world.redis.as_ref().unwrap().port());
    let connections = Arc::<AtomicUsize>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = listener.local_addr().unwrap().port();
    tokio::spawn(forward(listener, receiver, Arc::clone(&connections)));
    world.set("store.url", &format!("redis://127.0.0.1:{entry}"));
    Way {
        target,
        connections,
    }
}

/// The calls of INFO that a Redis has answered.
async fn info_calls(redis: &Redis) -> u64 {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut ask = redis::cmd("INFO");
    ask.arg("commandstats");
    let told: String = ask.query_async(&mut connection).await.unwrap();
    let calls = told.lines().find_map(|line| {
        let (_, rest) = line.split_once("cmdstat_info:calls=")?;
        rest.split(',').next()?.parse().ok()
    });
    // This call is not counted before it is answered.
    calls.unwrap_or(0)
}

/// Waits until the gateways have verified their store once more, so that the next time
/// is seconds away.
async fn await_verification(redis: &Redis) {
    let verified = async {
        let mut calls = info_calls(redis).await;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Each of these looks is a call itself.
            let now = info_calls(redis).await;
            if now > calls + 1 {
                return;
            }
            calls = now;
        }
    };
    tokio::time::timeout(PATIENCE, verified)
        .await
        .expect("the store is not verified");
    // It asks twice, first for the policy and last for the history.
    let ended = async {
        let mut calls = info_calls(redis).await;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = info_calls(redis).await;
            if now == calls + 1 {
                return;
            }
            calls = now;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the store is verified for ever");
}

/// A replica takes over the address, and no connection breaks: only that each claim
/// names its history can tell the gateways of it in time.
#[tokio::test]
async fn a_promoted_replica_that_lacks_a_claim_does_not_buy_it_again() {
    let mut world = World::new(StoreKind::Redis).await;
    let way = way_to_redis(&mut world).await;
    world.check_rarely();
    let gateways = [world.start_gateway().await, world.start_replica().await];
    let mut clients = [gateways[0].client().await, gateways[1].client().await];
    let (before, lost) = (reference(), [reference(), reference()]);
    // That a primary gets its first replica loses nothing.
    let folder = tempfile::tempdir().unwrap();
    let redis = world.redis.as_ref().unwrap();
    let replica = redis.replica(folder.path()).await;
    assert_succeeded(&buy(&mut clients[0], &before, PLAIN).await);
    redis.await_replica().await;
    // The replica hears nothing of what is bought from here on.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
    replica.command(&at_once).await;
    for (client, code) in clients.iter_mut().zip(&lost) {
        assert_succeeded(&buy(client, code, PLAIN).await);
    }

    await_verification(redis).await;
    let connections = way.connections.load(Ordering::SeqCst);
    // The gateways see nothing of the change: they are stopped, and the server that they
    // are connected to takes over what the replica has, then the replica's part.
    for gateway in &gateways {
        gateway.process.signal("-STOP");
    }
    redis.follow(&replica).await;
    redis.command(&["REPLICAOF", "NO", "ONE"]).await;
    for gateway in &gateways {
        gateway.process.signal("-CONT");
    }
    for (client, code) in clients.iter_mut().zip(&lost) {
        assert_held_back(&buy(client, code, PLAIN).await);
        assert_eq!(world.ledger(code).await.received, 1);
    }
    assert_eq!(
        way.connections.load(Ordering::SeqCst),
        connections,
        "a connection broke, which is another test"
    );

    assert!(buy(&mut clients[0], &before, PLAIN).await.r#final);
    for code in &lost {
        redeem(&gateways[0], code).await;
        assert_succeeded(&gateways[0].until_final(code).await);
    }
    for code in lost.iter().chain([&before]) {
        let ledger = world.ledger(code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

#[tokio::test]
async fn a_promoted_server_elsewhere_that_lacks_a_claim_does_not_buy_it_again() {
    let mut world = World::new(StoreKind::Redis).await;
    let way = way_to_redis(&mut world).await;
    world.set("store.timeout", "2s").check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (before, lost) = (reference(), reference());
    let folder = tempfile::tempdir().unwrap();
    let replica = world.redis.as_ref().unwrap().replica(folder.path()).await;
    assert_succeeded(&buy(&mut client, &before, PLAIN).await);
    world.redis.as_ref().unwrap().await_replica().await;
    // The replica hears nothing of what is bought from here on.
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    assert_succeeded(&buy(&mut client, &lost, PLAIN).await);

    way.target.send(replica.port()).unwrap();
    assert_held_back(&buy_again(&mut client, &lost).await);
    assert!(buy_again(&mut client, &before).await.r#final);
    redeem(&gateway, &lost).await;
    assert_succeeded(&gateway.until_final(&lost).await);
    for code in [before, lost] {
        let ledger = world.ledger(&code).await;
        assert_eq!((ledger.received, ledger.executed), (1, 1));
    }
}

/// A way to Redis on which nobody learns its run id.
async fn without_run_id(listener: TcpListener, port: u16) {
    while let Ok((near, _)) = listener.accept().await {
        let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut asked, mut told_on) = near.into_split();
        let (mut told, mut asked_on) = far.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asked_on).await });
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = told.read(&mut bytes).await {
                for at in 0..count {
                    if bytes[at..count].starts_with(b"run_id:") {
                        bytes[at] = b'x';
                    }
                }
                told_on.write_all(&bytes[..count]).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_who_it_is_is_refused() {
    let mut world = World::new(StoreKind::Redis).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let port = world.redis.as_ref().unwrap().port();
    tokio::spawn(without_run_id(listener, port));
    world.set("store.url", &url);
    let mut process = Process::start(BINARY, &["serve"], &world.environment(), world.path());
    assert!(!process.ended().await.success());
    let told = process.text();
    assert!(
        told.contains("it does not tell run_id and master_replid"),
        "{told}"
    );
}

#[test]
fn only_a_uuid_of_version_7_tells_when_it_was_made() {
    let minted_at = |text: &str| ReferenceCode::parse(text).unwrap().minted_at();
    // The example of RFC 9562, appendix A.6.
    let example = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
    let made = "2022-02-22T19:22:22Z".parse().unwrap();
    assert_eq!(minted_at(example), Some(made));
    assert_eq!(minted_at(&example.replace('-', "")), Some(made));
    for other in [
        "017F22E2-79B0-4CC3-98C4-DC0C0C07398F",
        "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",
        "C232AB00-9414-11EC-B3C8-9F6BDECED846",
        "INVOICE-2022-02-22-000001",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        assert_eq!(minted_at(other), None, "{other}");
    }
}
