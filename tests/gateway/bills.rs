//! One bill, one payment at a time, and the bill that the customer was shown: inquiries made again,
//! inquiry codes given out again.

use std::time::Duration;

use jiff::SignedDuration;
use okebayar_gateway::{
    grpc::v1::{
        Inquiry, PayPostpaidRequest, PurchasePrepaidRequest, Reason, State, Transaction,
        inquire_postpaid_request::Customer,
    },
    store::{
        CasResult, Expiry, Identity, Store, inquiries,
        redis::{RedisSettings, RedisStore},
    },
    transaction::{
        AccountName, AccountNames, InquiryCode, ReferenceCode, TransactionKey, Verbatim,
    },
};
use redis::AsyncTypedCommands;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::inquiries::{FORMATS, rupiah};
use crate::payments::{Way, resolve_failed};
use crate::support::{
    on_both_stores,
    process::{PATIENCE, Process},
    world::{
        BINARY, Client, Gateway, PENDING_FOR_EVER, PENDING_THEN_FAILURE, RESET_AND_CALLBACK_LOST,
        StoreKind, WATER, World, assert_refused, get, minted, order, pay, payment,
        prepaid_question, question, reference,
    },
};

/// Two customers whose first bills have the same total.
const ANNA: &str = "1111111";
const BUDI: &str = "2222222";
const TOTAL: i64 = 53_500;

/// A gateway whose OKEBAYAR collects a bill as often as it is asked to, until it has told of a
/// success.
async fn gullible(kind: StoreKind, format: &str) -> World {
    let mut world = World::new(kind).await;
    world.set("accounts.main.format", format);
    world.bill_as("*", json!({ "owed_until_told": true })).await;
    world
}

async fn pay_beside(
    client: &mut Client,
    code: &str,
    inquiry: &Inquiry,
    open: &[&str],
) -> Result<Transaction, Status> {
    let request = PayPostpaidRequest {
        acknowledged_open_reference_codes: open.iter().map(|code| (*code).to_owned()).collect(),
        ..payment(code, inquiry)
    };
    let paid = client.pay_postpaid(request).await?;
    Ok(paid.into_inner().transaction.unwrap())
}

/// Asserts that a payment is refused for an open one, which it names, before anything is stored.
async fn assert_open(
    (world, client): (&World, &mut Client),
    refused: Result<Transaction, Status>,
    code: &str,
    open: &str,
) {
    let reason = "BILL_PAYMENT_OPEN";
    let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["open_reference_code"], open);
    let text = status.message();
    assert!(text.contains(open) && text.contains("wait"), "{text}");
    assert!(!text.contains("inquire again"), "{text}");
    assert_eq!(world.ledger(code).await.received, 0);
    let absent = get(client, code).await;
    assert_refused(absent, Code::NotFound, "TRANSACTION_NOT_FOUND", "no");
}

async fn a_bill_is_not_paid_beside_an_open_payment_of_it(kind: StoreKind) {
    for format in FORMATS {
        let mut world = gullible(kind, format).await;
        world.check_rarely();
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        // Pending by its answer, and open because no answer came.
        for customer in [PENDING_FOR_EVER, RESET_AND_CALLBACK_LOST] {
            let (first, second) = (reference(), reference());
            let inquiry = gateway.bill(WATER, customer).await;
            let open = pay(&mut client, &first, &inquiry).await.unwrap();
            assert!(matches!(open.state(), State::Pending | State::Confirming));
            let again = gateway.bill(WATER, customer).await;
            assert_ne!(again.inquiry_code, inquiry.inquiry_code);
            let around = (&world, &mut client);
            let refused = pay(around.1, &second, &again).await;
            assert_open(around, refused, &second, &first).await;
            // The caller knows of another one.
            let around = (&world, &mut client);
            let refused = pay_beside(around.1, &second, &again, &[&reference()]).await;
            assert_open(around, refused, &second, &first).await;
            // The same customer by another product of the biller.
            let other = gateway.bill("HPLNPASCA", customer).await;
            let around = (&world, &mut client);
            let refused = pay(around.1, &second, &other).await;
            assert_open(around, refused, &second, &first).await;
            // To know of it gives nobody an inquiry that another reference code has.
            let third = reference();
            let known = first.to_ascii_uppercase().replace('-', "");
            let beside = pay_beside(&mut client, &third, &again, &[&known]).await;
            let used = "INQUIRY_ALREADY_USED";
            assert_refused(beside, Code::FailedPrecondition, used, "no");
            let beside = pay_beside(&mut client, &second, &again, &[&known]).await;
            assert!(beside.is_ok(), "{beside:?}");
            assert_eq!(world.ledger(&second).await.received, 1);
        }
    }
}

async fn a_bill_is_free_once_its_open_payment_failed(kind: StoreKind) {
    let mut world = gullible(kind, "json").await;
    world.set("checks.give_up_after", "3s");
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // OKEBAYAR reports that it failed.
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_THEN_FAILURE).await;
    let again = gateway.bill(WATER, PENDING_THEN_FAILURE).await;
    pay(&mut client, &first, &inquiry).await.unwrap();
    let around = (&world, &mut client);
    let refused = pay(around.1, &second, &again).await;
    assert_open(around, refused, &second, &first).await;
    assert_eq!(gateway.until_final(&first).await.state(), State::Failed);
    let paid = pay(&mut client, &second, &again).await.unwrap();
    assert_eq!(paid.state(), State::Pending);

    // A human finds out.
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    pay(&mut client, &first, &inquiry).await.unwrap();
    let review = gateway
        .until(&first, |one| one.state() == State::NeedsReview)
        .await;
    let around = (&world, &mut client);
    let refused = pay(around.1, &second, &again).await;
    assert_open(around, refused, &second, &first).await;
    resolve_failed(&mut client, &first, review.revision).await;
    pay(&mut client, &second, &again).await.unwrap();
    assert_eq!(world.ledger(&second).await.received, 1);
}

async fn an_inquiry_from_before_a_payment_is_outdated(kind: StoreKind) {
    for format in FORMATS {
        let world = gullible(kind, format).await;
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let inquiry = gateway.bill(WATER, ANNA).await;
        let before = gateway.bill(WATER, ANNA).await;
        let (first, second) = (reference(), reference());
        let paid = pay(&mut client, &first, &inquiry).await.unwrap();
        assert_eq!(paid.state(), State::Succeeded);
        // Knowing of the other does not help: it is not open.
        let refused = pay_beside(&mut client, &second, &before, &[&first]).await;
        let reason = "INQUIRY_OUTDATED";
        let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
        assert!(status.message().contains(&first), "{status}");
        assert_eq!(world.ledger(&second).await.received, 0);
        assert!(world.paid_twice().await.is_empty());
        // The customer's next bill, after the time by which clocks may differ.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = gateway.bill(WATER, ANNA).await;
        let paid = pay(&mut client, &reference(), &next).await.unwrap();
        assert_eq!(paid.state(), State::Succeeded);
        assert!(world.paid_twice().await.is_empty());
    }
}

/// A way to the sandbox on which answers wait until they are let through.
struct Held {
    port: u16,
    open: tokio::sync::watch::Sender<bool>,
}

impl Held {
    async fn to(sandbox_port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, is_open) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut is_open = is_open.clone();
                connections.spawn(async move {
                    let far = tokio::net::TcpStream::connect(("127.0.0.1", sandbox_port));
                    let (mut far_read, mut far_write) = far.await.unwrap().into_split();
                    let (mut near_read, mut near_write) = near.into_split();
                    let asked = tokio::io::copy(&mut near_read, &mut far_write);
                    let answered = async {
                        is_open.wait_for(|open| *open).await.unwrap();
                        tokio::io::copy(&mut far_read, &mut near_write).await
                    };
                    let _ = tokio::join!(asked, answered);
                });
            }
        });
        Self { port, open }
    }
}

/// The answer of an inquiry may come long after what it says was so.
#[tokio::test]
async fn an_inquiry_counts_from_when_it_was_asked() {
    let mut world = gullible(StoreKind::Redis, "json").await;
    let direct = world.start_replica().await;
    let held = Held::to(world.sandbox_port).await;
    let url = format!("http://127.0.0.1:{}/", held.port);
    let slow = world.set("accounts.main.url", &url).start_replica().await;
    let held_code = json!({ "owed_until_told": true, "inquirycode": "HELD" });
    world.bill_as(ANNA, held_code).await;
    let mut inquirer = slow.inquirer().await;
    let inquiry = tokio::spawn(async move {
        let found = inquirer.inquire_postpaid(question(WATER, ANNA)).await;
        found.unwrap().into_inner().inquiry.unwrap()
    });
    let answered = async {
        let url = format!("http://127.0.0.1:{}/inquiry/HELD", world.sandbox_port);
        while reqwest::get(&url).await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
    world
        .bill_as(ANNA, json!({ "owed_until_told": true }))
        .await;
    let fresh = direct.bill(WATER, ANNA).await;
    let mut client = direct.client().await;
    let paid = pay(&mut client, &reference(), &fresh).await.unwrap();
    assert_eq!(paid.state(), State::Succeeded);
    // More than the clocks may differ.
    tokio::time::sleep(Duration::from_millis(200)).await;
    held.open.send_replace(true);
    let inquiry = inquiry.await.unwrap();
    let code = reference();
    let refused = pay(&mut client, &code, &inquiry).await;
    let reason = "INQUIRY_OUTDATED";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    assert_eq!(world.ledger(&code).await.received, 0);
}

/// Whoever reads a full list takes the place of one that it finds without a record: a claim that it
/// did not see must end that.
#[tokio::test]
async fn a_claim_in_a_full_list_moves_to_its_end() {
    let mut world = gullible(StoreKind::Redis, "json").await;
    let mut way = Way::to_sandbox(&mut world);
    way.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    way.close().await;
    let unsent = pay(&mut client, &code, &inquiry).await;
    assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    for _ in 1..64 {
        list_without_record(&world, ANNA, &reference()).await;
    }
    let listed = async || {
        let store = store_of(&world).await;
        let customer = Verbatim::new(format!("{ANNA}/"));
        inquiries::of_bill(&store, &customer).await.unwrap()
    };
    let before = listed().await;
    assert!(before.is_full());
    assert_eq!(before.keys().first(), Some(&key(&code)));
    way.open().await;
    pay(&mut client, &code, &inquiry).await.unwrap();
    let after = listed().await;
    assert_eq!(after.keys().last(), Some(&key(&code)));
    assert_eq!(after.keys().len(), 64);
}

const RACES: usize = 30;

/// Two gateways, each with an inquiry of its own for one bill; in every other race the first
/// reference code is one of which nothing was sent, and is armed again.
#[tokio::test]
async fn two_gateways_that_race_for_one_bill_pay_it_once() {
    let mut world = gullible(StoreKind::Redis, "json").await;
    let mut way = Way::to_sandbox(&mut world);
    way.open().await;
    let gateways = [world.start_replica().await, world.start_replica().await];
    let mut clients = [gateways[0].client().await, gateways[1].client().await];
    let mut decided = 0;
    for race in 0..RACES {
        let customer = format!("88{race:05}");
        let codes = [reference(), reference()];
        let mut inquiries = Vec::new();
        for gateway in &gateways {
            inquiries.push(gateway.bill(WATER, &customer).await);
        }
        if race % 2 == 1 {
            way.close().await;
            let unsent = pay(&mut clients[0], &codes[0], &inquiries[0]).await;
            assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
            way.open().await;
        }
        let calls = [0, 1, 0, 1].map(|one| {
            let (mut client, code) = (clients[one].clone(), codes[one].clone());
            let inquiry = inquiries[one].clone();
            tokio::spawn(async move { pay(&mut client, &code, &inquiry).await.is_ok() })
        });
        for call in calls {
            let _ = call.await.unwrap();
        }
        let executed = async || {
            let one = world.ledger(&codes[0]).await.executed;
            one + world.ledger(&codes[1]).await.executed
        };
        decided += executed().await;
        // Should each have made way for the other, one of them gets it now.
        for one in [0, 1] {
            let _ = pay(&mut clients[one], &codes[one], &inquiries[one]).await;
        }
        assert_eq!(executed().await, 1, "race {race}");
    }
    assert!(world.paid_twice().await.is_empty());
    // Neither may give up for the other all the time.
    assert!(decided > RACES as u64 / 2, "{decided} of {RACES}");
}

async fn a_payment_that_was_not_sent_is_not_armed_again_beside_an_open_one(kind: StoreKind) {
    let mut world = gullible(kind, "json").await;
    world.check_rarely();
    let mut way = Way::to_sandbox(&mut world);
    way.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let (first, second) = (reference(), reference());
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    way.close().await;
    let unsent = pay(&mut client, &first, &inquiry).await;
    assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    way.open().await;
    pay(&mut client, &second, &again).await.unwrap();
    let refused = pay(&mut client, &first, &inquiry).await;
    let reason = "BILL_PAYMENT_OPEN";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let state = get(&mut client, &first).await.unwrap().state();
    assert_eq!(state, State::NotSent);
    assert_eq!(world.ledger(&first).await.received, 0);
}

/// The store of a world, as a second gateway sees it.
async fn store_of(world: &World) -> RedisStore {
    let settings = RedisSettings {
        url: world.redis.as_ref().unwrap().url.clone(),
        partitions: 64,
        timeout: PATIENCE,
        event_retention: SignedDuration::from_hours(1),
    };
    let identity = Identity {
        accounts: std::collections::BTreeMap::new(),
        names: AccountNames::default(),
        epoch: uuid::Uuid::nil(),
    };
    RedisStore::open(settings, &identity).await.unwrap()
}

fn key(code: &str) -> TransactionKey {
    TransactionKey::new(&ReferenceCode::parse(code).unwrap())
}

/// Lists a transaction under a customer's bill that has no record, as a gateway leaves it that is
/// killed before its claim.
async fn list_without_record(world: &World, customer: &str, code: &str) {
    let store = store_of(world).await;
    let customer = Verbatim::new(format!("{customer}/"));
    let listed = inquiries::of_bill(&store, &customer).await.unwrap();
    let now = jiff::Timestamp::from_second(2_000_000_000).unwrap();
    let key = key(code);
    let listing = inquiries::list_last(&store, &customer, &listed, &key, &[], now);
    assert!(listing.await.unwrap());
}

#[tokio::test]
async fn a_gateway_killed_before_its_claim_blocks_no_bill() {
    let world = gullible(StoreKind::Redis, "json").await;
    let gateway = world.start_gateway().await;
    list_without_record(&world, ANNA, &reference()).await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let paid = pay(&mut gateway.client().await, &reference(), &inquiry).await;
    assert_eq!(paid.unwrap().state(), State::Succeeded);
}

#[tokio::test]
async fn a_payment_whose_record_may_be_lost_blocks_its_bill() {
    let mut world = gullible(StoreKind::Redis, "json").await;
    world.set("store.clock_skew", "1ms");
    let gateway = world.start_gateway().await;
    let lost = reference();
    list_without_record(&world, ANNA, &lost).await;
    let arguments = ["guard", "start"];
    let mut guard = Process::start(BINARY, &arguments, &world.environment(), world.path());
    assert!(guard.ended().await.success(), "{}", guard.text());
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = minted(0);
    let refused = pay(&mut client, &code, &inquiry).await;
    let reason = "BILL_PAYMENT_OPEN";
    let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let open = &status.get_details_error_info().unwrap().metadata["open_reference_code"];
    assert_eq!(*open, key(&lost).to_string());
    assert_eq!(world.ledger(&code).await.received, 0);
    let paid = pay_beside(&mut client, &code, &inquiry, &[&lost]).await;
    assert_eq!(paid.unwrap().state(), State::Succeeded);
}

/// More than are remembered for one bill.
const MANY: usize = 70;

async fn refused_calls_never_hide_the_open_payment(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let second = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let open = reference();
    pay(&mut client, &open, &inquiry).await.unwrap();
    for _ in 0..MANY {
        let refused = pay(&mut client, &reference(), &inquiry).await;
        let used = "INQUIRY_ALREADY_USED";
        let status = assert_refused(refused, Code::FailedPrecondition, used, "no");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["open_reference_code"], open);
        assert!(!status.message().contains("inquire again"), "{status}");
    }
    // The embedded store has one process.
    if kind == StoreKind::Redis {
        let store = store_of(&world).await;
        let customer = Verbatim::new(format!("{RESET_AND_CALLBACK_LOST}/"));
        let listed = inquiries::of_bill(&store, &customer).await.unwrap();
        assert_eq!(listed.keys(), [key(&open)], "a refused call is not listed");
    }
    let contested = reference();
    let answer = pay_beside(&mut client, &contested, &second, &[&open]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status_code, "401");
    assert_eq!(
        (answer.state(), answer.reason()),
        (State::NeedsReview, Reason::PaidMeanwhile)
    );
}

async fn only_settled_payments_make_room_in_a_full_list(kind: StoreKind) {
    let mut world = gullible(kind, "json").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let again = gateway.bill(WATER, PENDING_FOR_EVER).await;
    let open = reference();
    pay(&mut client, &open, &inquiry).await.unwrap();
    let declined = r#"{"responsecode":"203"}"#;
    world.misprint(PENDING_FOR_EVER, declined).await;
    let mut last = String::new();
    for _ in 0..MANY {
        last = reference();
        let failed = pay_beside(&mut client, &last, &again, &[&open]).await;
        assert_eq!(failed.unwrap().state(), State::Failed);
    }
    world.misprint(PENDING_FOR_EVER, "{}").await;
    let code = reference();
    let around = (&world, &mut client);
    let refused = pay(around.1, &code, &again).await;
    assert_open(around, refused, &code, &open).await;
    assert_eq!(world.ledger(&last).await.received, 1);
}

#[tokio::test]
async fn a_list_full_of_open_payments_takes_no_further_one() {
    let mut world = gullible(StoreKind::Redis, "json").await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut open: Vec<String> = Vec::new();
    let mut pay_one = async |code: &str| {
        let inquiry = gateway.bill(WATER, PENDING_FOR_EVER).await;
        let known: Vec<&str> = open.iter().map(String::as_str).collect();
        let paid = pay_beside(&mut client, code, &inquiry, &known).await;
        open.push(code.to_owned());
        paid
    };
    for _ in 0..64 {
        pay_one(&reference()).await.unwrap();
    }
    let code = reference();
    let refused = pay_one(&code).await;
    let reason = "BILL_PAYMENT_OPEN";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    assert_eq!(world.ledger(&code).await.received, 0);
}

fn named(inquiry: &Inquiry, code: &str, account_number: &str) -> PayPostpaidRequest {
    PayPostpaidRequest {
        account_number: account_number.to_owned(),
        ..payment(code, inquiry)
    }
}

/// What OKEBAYAR was sent in a payment.
async fn sent(world: &World, code: &str) -> Value {
    let ledger = world.ledger(code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    ledger.parameters
}

async fn a_code_given_to_two_customers_pays_what_each_was_shown(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        world
            .bill_as("*", json!({ "inquirycode": "GIVEN-TWICE" }))
            .await;
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let annas = gateway.bill(WATER, ANNA).await;
        let budis = gateway.bill(WATER, BUDI).await;
        assert_eq!(annas.inquiry_code, budis.inquiry_code);
        assert_eq!(
            (&annas.total, &budis.total),
            (&rupiah(TOTAL), &rupiah(TOTAL))
        );
        assert_ne!(annas.ref2, budis.ref2);
        // The total alone does not tell them apart.
        let codes = [reference(), reference()];
        for code in &codes {
            let refused = pay(&mut client, code, &annas).await;
            let reason = "AMBIGUOUS_INQUIRY";
            let status = assert_refused(refused, Code::FailedPrecondition, reason, "no");
            assert!(status.message().contains("account_number"), "{status}");
            assert_eq!(world.ledger(code).await.received, 0);
        }
        let third = client.pay_postpaid(named(&annas, &reference(), "3333333"));
        let reason = "INQUIRY_MISMATCH";
        assert_refused(third.await, Code::FailedPrecondition, reason, "no");
        let shown = [(ANNA, &annas), (BUDI, &budis)];
        for (code, (customer, inquiry)) in codes.iter().zip(shown) {
            let request = named(inquiry, code, customer);
            let paid = client.pay_postpaid(request.clone()).await.unwrap();
            let paid = paid.into_inner().transaction.unwrap();
            assert_eq!(paid.state(), State::Succeeded, "{format} {paid:#?}");
            let sent = sent(&world, code).await;
            assert_eq!(sent["accnumber1"], customer);
            assert_eq!(sent["ref2"], *inquiry.ref2);
            let again = client.pay_postpaid(request).await.unwrap().into_inner();
            assert!(again.replayed);
        }
        // Another customer is another payment.
        let other = client.pay_postpaid(named(&annas, &codes[0], BUDI)).await;
        let reason = "REFERENCE_CODE_REUSED";
        assert_refused(other, Code::AlreadyExists, reason, "maybe");
    }
}

async fn a_code_given_again_with_a_fine_pays_the_total_that_was_shown(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        // The first session pays in one case, the second in the other.
        for (customer, pays_first) in [(ANNA, true), (BUDI, false)] {
            let code = format!("FINED-{customer}");
            world
                .bill_as(customer, json!({ "inquirycode": code }))
                .await;
            let plain = gateway.bill(WATER, customer).await;
            let fined = json!({ "inquirycode": code, "fine": 5_000 });
            world.bill_as(customer, fined).await;
            let fined = gateway.bill(WATER, customer).await;
            assert_eq!(fined.inquiry_code, plain.inquiry_code);
            assert_eq!(fined.total, rupiah(TOTAL + 5_000));
            let never = PayPostpaidRequest {
                total: rupiah(TOTAL + 1),
                ..payment(&reference(), &plain)
            };
            let refused = client.pay_postpaid(never).await;
            let reason = "TOTAL_MISMATCH";
            assert_refused(refused, Code::FailedPrecondition, reason, "no");
            let (shown, nominal) = if pays_first {
                (&plain, "51000")
            } else {
                (&fined, "56000")
            };
            let code = reference();
            let paid = pay(&mut client, &code, shown).await.unwrap();
            assert_eq!(paid.bill.unwrap().total, shown.total, "{format}");
            let sent = sent(&world, &code).await;
            let told = sent["nominal"].as_str().unwrap();
            assert_eq!(told.split('.').next(), Some(nominal), "{format}");
            assert_eq!(sent["ref2"], *shown.ref2);
        }
    }
}

async fn an_expired_inquiry_pays_nobody_elses_bill(kind: StoreKind) {
    let world = World::new(kind).await;
    world
        .bill_as("*", json!({ "inquirycode": "GIVEN-TWICE" }))
        .await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let expired = r#"{"inquiryexpired":"2020-03-25 20:09:12.374"}"#;
    world.misprint(ANNA, expired).await;
    let annas = gateway.bill(WATER, ANNA).await;
    let budis = gateway.bill(WATER, BUDI).await;
    assert_eq!(annas.total, budis.total);
    let code = reference();
    let refused = pay(&mut client, &code, &annas).await;
    let reason = "AMBIGUOUS_INQUIRY";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let refused = client.pay_postpaid(named(&annas, &code, ANNA)).await;
    assert_refused(refused, Code::FailedPrecondition, "INQUIRY_EXPIRED", "no");
    assert_eq!(world.ledger(&code).await.received, 0);
    let paid = client.pay_postpaid(named(&budis, &code, BUDI)).await;
    assert!(paid.is_ok());
    assert_eq!(sent(&world, &code).await["accnumber1"], BUDI);
}

/// A reference code of which nothing was sent is for the bill that it was for, although the total
/// alone would fit another customer's too.
async fn a_payment_that_was_not_sent_keeps_its_customer(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let given = json!({ "inquirycode": "GIVEN-TWICE" });
    world.bill_as("*", given).await;
    let mut way = Way::to_sandbox(&mut world);
    way.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let annas = gateway.bill(WATER, ANNA).await;
    let codes = [reference(), reference()];
    way.close().await;
    for code in &codes {
        let unsent = pay(&mut client, code, &annas).await;
        assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    }
    way.open().await;
    let budis = gateway.bill(WATER, BUDI).await;
    assert_eq!(annas.total, budis.total);
    if kind == StoreKind::Redis {
        // An earlier release keeps only the newest.
        let store = store_of(&world).await;
        let code = InquiryCode::parse("GIVEN-TWICE").unwrap();
        let account = AccountName::parse("main").unwrap();
        let known = inquiries::load(&store, &account, &code).await.unwrap();
        let newest = serde_json::to_string(known.unwrap().newest()).unwrap();
        let name = "inquiry:main:GIVEN-TWICE";
        let both = store.note(name).await.unwrap();
        let until = jiff::Timestamp::from_second(4_000_000_000).unwrap();
        let keep = Expiry { now: until, until };
        let put = store.put_note(name, both.as_deref(), &newest, keep).await;
        assert_eq!(put.unwrap(), CasResult::Done);
        let refused = pay(&mut client, &codes[0], &annas).await;
        let reason = "INQUIRY_MISMATCH";
        assert_refused(refused, Code::FailedPrecondition, reason, "no");
        assert_eq!(world.ledger(&codes[0]).await.received, 0);
        gateway.bill(WATER, ANNA).await;
    }
    let paid = pay(&mut client, &codes[1], &annas).await;
    assert_eq!(paid.unwrap().state(), State::Succeeded);
    assert_eq!(sent(&world, &codes[1]).await["accnumber1"], ANNA);
}

#[tokio::test]
async fn a_code_given_out_too_often_refuses_the_inquiry_and_keeps_the_others() {
    let world = World::new(StoreKind::Redis).await;
    world
        .bill_as("*", json!({ "inquirycode": "GIVEN-OFTEN" }))
        .await;
    let gateway = world.start_gateway().await;
    let mut kept = Vec::new();
    for number in 0..8 {
        let customer = format!("77{number}");
        kept.push((gateway.bill(WATER, &customer).await, customer));
    }
    let request = question(WATER, "778");
    let crowded = gateway.inquirer().await.inquire_postpaid(request).await;
    let reason = "INQUIRY_CODE_CROWDED";
    assert_refused(crowded, Code::Unavailable, reason, "maybe");
    // The same bill again needs no further place.
    gateway.bill(WATER, "770").await;
    let mut client = gateway.client().await;
    for (inquiry, customer) in &kept[1..] {
        let code = reference();
        let paid = client.pay_postpaid(named(inquiry, &code, customer)).await;
        assert!(paid.is_ok(), "{paid:?}");
        let sent = sent(&world, &code).await;
        assert_eq!(
            (&sent["accnumber1"], &sent["ref2"]),
            (&json!(customer), &json!(inquiry.ref2))
        );
    }
}

async fn two_telephone_lines_under_one_code_are_told_apart(kind: StoreKind) {
    let world = World::new(kind).await;
    world
        .bill_as("021", json!({ "inquirycode": "GIVEN-TWICE" }))
        .await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let mut inquiries = Vec::new();
    for number in ["5550001", "5550002"] {
        let mut request = question("HTELEPON", "");
        request.customer = Some(Customer::Pstn(okebayar_gateway::grpc::v1::PstnCustomer {
            area_code: "021".into(),
            number: number.into(),
        }));
        let found = gateway.inquirer().await.inquire_postpaid(request).await;
        inquiries.push((found.unwrap().into_inner().inquiry.unwrap(), number));
    }
    for (inquiry, number) in inquiries {
        let code = reference();
        let refused = client.pay_postpaid(named(&inquiry, &code, "021")).await;
        let reason = "AMBIGUOUS_INQUIRY";
        assert_refused(refused, Code::FailedPrecondition, reason, "no");
        let joined = format!("021{number}");
        let paid = client.pay_postpaid(named(&inquiry, &code, &joined)).await;
        assert!(paid.is_ok(), "{paid:?}");
        assert_eq!(sent(&world, &code).await["accnumber2"], number);
    }
}

async fn a_code_given_to_two_meters_brings_each_its_references(kind: StoreKind) {
    let world = World::new(kind).await;
    world
        .bill_as("*", json!({ "inquirycode": "GIVEN-TWICE" }))
        .await;
    let gateway = world.start_gateway().await;
    let mut inquiries = Vec::new();
    for meter in ["14234567895", "14234567896"] {
        let code = reference();
        let request = prepaid_question(&code, "HPLNPRA20", meter);
        let found = gateway.inquirer().await.inquire_prepaid(request).await;
        inquiries.push((code, meter, found.unwrap().into_inner().inquiry.unwrap()));
    }
    for (code, meter, inquiry) in inquiries {
        let request = PurchasePrepaidRequest {
            product_code: "HPLNPRA20".into(),
            inquiry_code: inquiry.inquiry_code,
            ..order(&code, meter)
        };
        let bought = gateway.client().await.purchase_prepaid(request).await;
        assert!(bought.is_ok(), "{bought:?}");
        assert_eq!(sent(&world, &code).await["ref1"], *inquiry.ref1);
    }
}

#[tokio::test]
async fn a_payment_states_its_total() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway: Gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    let request = PayPostpaidRequest {
        total: None,
        ..payment(&code, &inquiry)
    };
    let refused = gateway.client().await.pay_postpaid(request).await;
    let status = assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "maybe");
    let details = status.get_details_bad_request().unwrap();
    assert_eq!(details.field_violations[0].field, "total");
    assert!(status.message().contains("give the total"), "{status}");
    assert_eq!(world.ledger(&code).await.received, 0);
}

/// Records of a release that did not want a total stated.
#[tokio::test]
async fn a_payment_without_a_stated_total_is_still_found() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, ANNA).await;
    let code = reference();
    pay(&mut client, &code, &inquiry).await.unwrap();
    let mut connection = world.redis.as_ref().unwrap().connection().await;
    let keys = connection.keys("okb:*:tx:*").await.unwrap();
    let body = connection.hget(&keys[0], "body").await.unwrap().unwrap();
    let mut record: Value = serde_json::from_str(&body).unwrap();
    let contents = record.pointer_mut("/transaction/contents").unwrap();
    assert!(contents.as_object_mut().unwrap().remove("total").is_some());
    connection
        .hset(&keys[0], "body", record.to_string())
        .await
        .unwrap();
    let again = client.pay_postpaid(payment(&code, &inquiry)).await;
    assert!(again.unwrap().into_inner().replayed);
    let other = PayPostpaidRequest {
        total: rupiah(1),
        ..payment(&code, &inquiry)
    };
    let refused = client.pay_postpaid(other).await;
    let reason = "REFERENCE_CODE_REUSED";
    let status = assert_refused(refused, Code::AlreadyExists, reason, "maybe");
    assert!(status.message().contains("another total"), "{status}");
    assert_eq!(world.ledger(&code).await.received, 1);
}

on_both_stores!(
    a_bill_is_not_paid_beside_an_open_payment_of_it,
    a_bill_is_free_once_its_open_payment_failed,
    an_inquiry_from_before_a_payment_is_outdated,
    a_payment_that_was_not_sent_is_not_armed_again_beside_an_open_one,
    a_payment_that_was_not_sent_keeps_its_customer,
    refused_calls_never_hide_the_open_payment,
    only_settled_payments_make_room_in_a_full_list,
    a_code_given_to_two_customers_pays_what_each_was_shown,
    a_code_given_again_with_a_fine_pays_the_total_that_was_shown,
    an_expired_inquiry_pays_nobody_elses_bill,
    two_telephone_lines_under_one_code_are_told_apart,
    a_code_given_to_two_meters_brings_each_its_references,
);
