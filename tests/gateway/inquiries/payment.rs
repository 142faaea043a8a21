//! Inquiry to payment: to the letter, once for each inquiry, and never before the
//! transaction was looked for.

use std::time::Duration;

use okebayar_gateway::grpc::v1::{
    BpjsCustomer, CheckTransactionRequest, InquirePostpaidRequest, Inquiry, Money, Operation,
    PayPostpaidRequest, PstnCustomer, PurchasePrepaidRequest, PurchasePrepaidResponse, Reason,
    Resolution, ResolveTransactionRequest, State, Transaction, WaitUntil,
    inquire_postpaid_request::Customer,
};
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use crate::queries::inquiry_service::{FORMATS, rupiah};
use crate::support::{
    on_both_stores, ports,
    process::PATIENCE,
    world::{
        ANSWER_AND_CALLBACK_LOST, CONTACT, Client, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, PLAIN,
        RESET_AND_CALLBACK_LOST, SLOW, StoreKind, TWO_BILLS, USER_ID, WATER, World, assert_refused,
        assert_succeeded, bought, buy, error_info, get, order, pay, payment, prepaid_question,
        question, reference,
    },
};

/// What must come back to the letter.
const LITERAL: [&str; 11] = [
    "productcode",
    "accnumber1",
    "accnumber2",
    "accnumber3",
    "contactnumber",
    "nominal",
    "adminfee",
    "ref1",
    "ref2",
    "ref3",
    "inquirycode",
];

/// What the ledger has of a payment equals what its inquiry told.
async fn assert_to_the_letter(world: &World, code: &str, inquiry: &Inquiry, but: &[&str]) {
    let told = world
        .ask_sandbox(&format!("inquiry/{}", inquiry.inquiry_code))
        .await;
    let ledger = world.ledger(code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    for name in LITERAL.iter().filter(|name| !but.contains(name)) {
        assert_eq!(ledger.parameters[name], told[name], "{name}");
        assert!(told[name].is_string(), "{name}");
    }
}

#[tokio::test]
async fn a_bill_is_found_shown_paid_and_watched_to_the_end() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let line = Customer::Pstn(PstnCustomer {
            area_code: "021".into(),
            number: "5551234".into(),
        });
        let member = Customer::Bpjs(BpjsCustomer {
            member_number: "0001234567890".into(),
            months: 2,
            payer_phone: "081288887777".into(),
        });
        let plain = |number: &str| Customer::AccountNumber(number.into());
        let cases = [
            ("HPLNPASCA", plain(TWO_BILLS)),
            ("HPLNPASCA", plain("512345678904")),
            ("HTELEPON", line),
            ("HBPJSKES", member),
            (WATER, plain(PENDING_THEN_SUCCESS)),
        ];
        for (product, customer) in cases {
            let is_bpjs = matches!(customer, Customer::Bpjs(_));
            let request = InquirePostpaidRequest {
                customer: Some(customer),
                ref1: "ORDER-1".into(),
                ..question(product, "")
            };
            let found = gateway.inquirer().await.inquire_postpaid(request).await;
            let inquiry = found.unwrap().into_inner().inquiry.unwrap();
            assert_eq!(inquiry.ref1, "ORDER-1");
            let code = reference();
            let mut request = payment(&code, &inquiry);
            request.total = inquiry.total.clone();
            let first = client.pay_postpaid(request.clone()).await.unwrap();
            assert!(!first.into_inner().replayed);
            let paid = gateway.until_final(&code).await;
            assert_eq!(paid.state(), State::Succeeded, "{format} {product}");
            assert_eq!(paid.operation(), Operation::PayPostpaid);
            assert_eq!(paid.inquiry_code, inquiry.inquiry_code);
            assert_eq!(paid.product_code, product);
            assert!(!paid.serial_number_pending && !paid.safe_to_refund);
            let bill = paid.bill.as_ref().unwrap();
            assert_eq!(
                (&bill.total, &bill.nominal),
                (&inquiry.total, &inquiry.nominal)
            );
            let but: &[&str] = if is_bpjs {
                assert_eq!(bill.account_number2, "081288887777");
                &["accnumber2"]
            } else {
                &[]
            };
            assert_to_the_letter(&world, &code, &inquiry, but).await;
            if is_bpjs {
                let ledger = world.ledger(&code).await;
                assert_eq!(ledger.parameters["accnumber2"], "081288887777");
            }
            let again = client.pay_postpaid(request).await.unwrap().into_inner();
            assert!(again.replayed);
            assert_eq!(again.transaction.unwrap().trace_code, paid.trace_code);
        }
    }
}

#[tokio::test]
async fn a_receipt_has_whatever_okebayar_said() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let inquiry = gateway.bill("HPLNPASCA", TWO_BILLS).await;
    let code = reference();
    let paid = pay(&mut gateway.client().await, &code, &inquiry)
        .await
        .unwrap();
    assert_eq!((paid.state(), paid.r#final), (State::Succeeded, true));
    assert_eq!(paid.info, "TERIMA KASIH");
    let field = |name: &str| {
        let found = paid.fields.iter().find(|field| field.name == name);
        found
            .unwrap_or_else(|| panic!("{name} is missing"))
            .value
            .as_str()
    };
    assert_eq!(field("billingperiod"), "202610");
    assert_eq!(field("additionaldata.subscribername"), "BUDI & SITI");
    assert_eq!(field("additionaldata.blth2"), "202602");
    assert_eq!(field("nominal"), "103000.00");
}

async fn two_reference_codes_race_for_one_inquiry(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    for account_number in [SLOW, PENDING_FOR_EVER] {
        let inquiry = gateway.bill(WATER, account_number).await;
        let calls = (0..20).map(|_| {
            let (mut client, code, inquiry) = (client.clone(), reference(), inquiry.clone());
            tokio::spawn(async move { (pay(&mut client, &code, &inquiry).await, code) })
        });
        let mut paid = 0;
        let mut executed = 0;
        for call in calls.collect::<Vec<_>>() {
            let (answer, code) = call.await.unwrap();
            executed += world.ledger(&code).await.executed;
            if answer.is_ok() {
                paid += 1;
            } else {
                assert_refused(
                    answer,
                    Code::FailedPrecondition,
                    "INQUIRY_ALREADY_USED",
                    "no",
                );
                assert_eq!(world.ledger(&code).await.received, 0);
            }
        }
        assert_eq!((paid, executed), (1, 1), "{account_number}");
    }
}

async fn two_hundred_callers_pay_once(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let client = gateway.client().await;
    let inquiry = gateway.bill(WATER, SLOW).await;
    let code = reference();
    let calls = (0..200).map(|_| {
        let (mut client, request) = (client.clone(), payment(&code, &inquiry));
        tokio::spawn(async move { client.pay_postpaid(request).await })
    });
    let mut firsts = 0;
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await.unwrap().unwrap().into_inner();
        firsts += usize::from(!answer.replayed);
        assert_eq!(answer.transaction.unwrap().state(), State::Succeeded);
    }
    assert_eq!(firsts, 1);
    assert_to_the_letter(&world, &code, &inquiry, &[]).await;
}

fn expires_in(inquiry: &Inquiry) -> Duration {
    let expires = inquiry.expire_time.unwrap();
    let expires = Duration::new(
        u64::try_from(expires.seconds).unwrap(),
        u32::try_from(expires.nanos).unwrap(),
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    expires.saturating_sub(now.unwrap()) + Duration::from_millis(20)
}

async fn a_replay_after_the_inquirys_expiry_returns_the_payment(kind: StoreKind) {
    let world = World::without_sandbox(kind).await;
    let short = ["--inquiry-valid", "1500ms"];
    let _sandbox = world
        .sandbox_with(world.sandbox_port, USER_ID, &short)
        .await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, "1111111").await;
    let code = reference();
    let paid = pay(&mut client, &code, &inquiry).await.unwrap();
    assert_eq!(paid.state(), State::Succeeded);
    let unused = gateway.bill(WATER, "2222222").await;
    tokio::time::sleep(expires_in(&unused)).await;
    let again = client.pay_postpaid(payment(&code, &inquiry)).await.unwrap();
    let again = again.into_inner();
    assert!(again.replayed);
    assert_eq!(again.transaction.unwrap().trace_code, paid.trace_code);
    assert_eq!(world.ledger(&code).await.received, 1);

    let late = reference();
    let refused = pay(&mut client, &late, &unused).await;
    assert_refused(refused, Code::FailedPrecondition, "INQUIRY_EXPIRED", "no");
    assert_eq!(world.ledger(&late).await.received, 0);
    assert_eq!(
        get(&mut client, &late).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn what_does_not_fit_the_inquiry_is_refused_before_anything_is_sent() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let bill = gateway.bill(WATER, "1111111").await;
    let meter = prepaid_question("", "HPLNPRA20", "14234567895");
    let meter = gateway.inquirer().await.inquire_prepaid(meter).await;
    let meter = meter.unwrap().into_inner().inquiry.unwrap();
    let code = reference();
    let with_total = |total: Money| PayPostpaidRequest {
        total: Some(total),
        ..payment(&code, &bill)
    };
    let mut unknown = bill.clone();
    unknown.inquiry_code = "unknown".into();
    let money = |units| rupiah(units).unwrap();
    let cases = [
        (
            payment(&code, &unknown),
            Code::NotFound,
            "INQUIRY_NOT_FOUND",
        ),
        (
            with_total(money(53_501)),
            Code::FailedPrecondition,
            "TOTAL_MISMATCH",
        ),
        (
            payment(&code, &meter),
            Code::FailedPrecondition,
            "INQUIRY_MISMATCH",
        ),
        (
            with_total(Money {
                currency_code: "USD".into(),
                ..money(53_500)
            }),
            Code::InvalidArgument,
            "INVALID_REQUEST",
        ),
        (
            with_total(Money {
                nanos: -1,
                ..money(53_500)
            }),
            Code::InvalidArgument,
            "INVALID_REQUEST",
        ),
        (
            PayPostpaidRequest {
                inquiry_code: String::new(),
                ..payment(&code, &bill)
            },
            Code::InvalidArgument,
            "INVALID_REQUEST",
        ),
    ];
    for (request, grpc_code, reason) in cases {
        let refused = client.pay_postpaid(request).await;
        // Only what was refused after the store was read is known not to be sent.
        let sent = if grpc_code == Code::InvalidArgument {
            "maybe"
        } else {
            "no"
        };
        assert_refused(refused, grpc_code, reason, sent);
    }
    let mut purchases = [
        order(&code, "14234567895"),
        order(&code, "999"),
        order(&code, "1111111"),
    ];
    purchases[0].inquiry_code.clone_from(&meter.inquiry_code);
    purchases[1].product_code = "HPLNPRA20".into();
    purchases[1].inquiry_code.clone_from(&meter.inquiry_code);
    purchases[2].inquiry_code.clone_from(&bill.inquiry_code);
    for purchase in purchases {
        let refused = client.purchase_prepaid(purchase).await;
        assert_refused(refused, Code::FailedPrecondition, "INQUIRY_MISMATCH", "no");
    }
    assert_eq!(world.ledger(&code).await.received, 0);
    // None of it used the inquiry up.
    let mut right = with_total(money(53_500));
    let paid = client
        .pay_postpaid(right.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(paid.transaction.unwrap().state(), State::Succeeded);
    // The fingerprint is the request: another stated total is another request.
    right.total = rupiah(53_501);
    let refused = client.pay_postpaid(right).await;
    assert_refused(
        refused,
        Code::AlreadyExists,
        "REFERENCE_CODE_REUSED",
        "maybe",
    );
}

async fn an_inquiry_is_free_again_once_its_payment_failed(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let inquiry = gateway.bill(WATER, "080000009203").await;
    for _ in 0..2 {
        let code = reference();
        let failed = pay(&mut client, &code, &inquiry).await.unwrap();
        assert_eq!(failed.state(), State::Failed);
        assert_eq!(failed.reason(), Reason::DepositExhausted);
        assert_eq!(world.ledger(&code).await.received, 1);
    }
}

/// A way to the sandbox that can be closed: then no connection can be made.
pub struct Way {
    from: u16,
    to: u16,
    open: Option<tokio::task::JoinHandle<()>>,
}

impl Way {
    /// A way to the sandbox of a world, for its gateway; it is closed at first.
    pub fn to_sandbox(world: &mut World) -> Self {
        let way = Self {
            from: ports::free(),
            to: world.sandbox_port,
            open: None,
        };
        let url = format!("http://127.0.0.1:{}/", way.from);
        world.set("accounts.main.url", &url);
        way
    }

    pub async fn open(&mut self) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.from)).await;
        let (listener, to) = (listener.unwrap(), self.to);
        self.open = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(("127.0.0.1", to))
                        .await
                        .unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }));
    }

    /// Closes it, and waits until its port refuses.
    pub async fn close(&mut self) {
        let open = self.open.take().unwrap();
        open.abort();
        let _ = open.await;
    }
}

const ROUNDS: usize = 25;

async fn an_inquiry_that_is_free_again_is_paid_by_one(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let mut way = Way::to_sandbox(&mut world);
    way.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for round in 0..ROUNDS {
        let inquiry = gateway.bill(WATER, &format!("77{round:05}")).await;
        let codes = [reference(), reference()];
        way.close().await;
        let refused = pay(&mut client, &codes[0], &inquiry).await;
        assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
        way.open().await;
        // The first may be armed again, the second may take the inquiry over: both at
        // once, several times each.
        let calls = (0..8).map(|call| {
            let (mut client, inquiry) = (client.clone(), inquiry.clone());
            let code = codes[call % 2].clone();
            tokio::spawn(async move { pay(&mut client, &code, &inquiry).await })
        });
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(paid) => assert_eq!(paid.state(), State::Succeeded),
                // A twin may be sending meanwhile.
                Err(status) if status.code() == Code::Aborted => {
                    let info = ("REFERENCE_CODE_CONTENDED".to_owned(), "maybe".to_owned());
                    assert_eq!(error_info(&status), info);
                }
                Err(status) => assert_eq!(error_info(&status).1, "no", "{status}"),
            }
        }
        // Should each have made way for the other, one of them gets it once both have given up.
        let paid = async {
            loop {
                for code in &codes {
                    if pay(&mut client, code, &inquiry).await.is_ok() {
                        return;
                    }
                }
            }
        };
        let paid = tokio::time::timeout(PATIENCE, paid).await;
        paid.expect("nobody gets the inquiry");
        let mut executed = 0;
        for code in &codes {
            executed += world.ledger(code).await.executed;
        }
        assert_eq!(executed, 1, "round {round}");
    }
}

/// Two reference codes passed an inquiry to and fro unsent, one of them was sent then, and the
/// other one's late write has the inquiry now.
#[tokio::test]
async fn inquiry_that_was_bought_is_not_taken_over_from_one_that_was_not_sent() {
    let mut world = World::new(StoreKind::Redis).await;
    let mut way = Way::to_sandbox(&mut world);
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    way.open().await;
    let question = prepaid_question("", "PULSA10", PLAIN);
    let inquiry = gateway.inquirer().await.inquire_prepaid(question).await;
    let inquiry_code = inquiry.unwrap().into_inner().inquiry.unwrap().inquiry_code;
    let wanted = |code: &str| PurchasePrepaidRequest {
        inquiry_code: inquiry_code.clone(),
        ..order(code, PLAIN)
    };
    way.close().await;
    let [bought, loser, third] = [reference(), reference(), reference()];
    for code in [&bought, &loser, &bought] {
        let refused = client.purchase_prepaid(wanted(code)).await;
        assert_refused(refused, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    }
    way.open().await;
    assert_succeeded(&bought_now(client.purchase_prepaid(wanted(&bought)).await));

    let mut redis = world.redis.as_ref().unwrap().connection().await;
    let mut find = redis::cmd("KEYS");
    let find = find.arg(format!("okb:*:note:bound:main:{inquiry_code}"));
    let found: Vec<String> = find.query_async(&mut redis).await.unwrap();
    let late = [&loser, &bought]
        .map(|code| code.replace('-', ""))
        .join(" ");
    let mut write = redis::cmd("SET");
    write
        .arg(&found[0])
        .arg(late)
        .exec_async(&mut redis)
        .await
        .unwrap();
    let refused = client.purchase_prepaid(wanted(&third)).await;
    assert_refused(
        refused,
        Code::FailedPrecondition,
        "INQUIRY_ALREADY_USED",
        "no",
    );
    assert_eq!(world.ledger(&third).await.received, 0);
}

fn bought_now(
    answer: Result<tonic::Response<PurchasePrepaidResponse>, tonic::Status>,
) -> Transaction {
    bought(answer.unwrap().into_inner())
}

#[tokio::test]
async fn already_paid_may_be_us() {
    let mut world = World::new(StoreKind::Embedded).await;
    world.check_rarely();
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    // Two inquiries for one bill; the first payment's answer is lost.
    let first = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let second = gateway.bill(WATER, RESET_AND_CALLBACK_LOST).await;
    let (open, contested) = (reference(), reference());
    let lost = pay(&mut client, &open, &first).await.unwrap();
    assert_eq!(lost.state(), State::Confirming);
    // An operator thinks that it will not pay.
    let mut beside = payment(&contested, &second);
    beside.acknowledged_open_reference_codes = vec![open.clone()];
    let answer = client.pay_postpaid(beside).await.unwrap().into_inner();
    let answer = answer.transaction.unwrap();
    assert_eq!(answer.status_code, "401");
    assert_eq!(
        (answer.state(), answer.reason()),
        (State::NeedsReview, Reason::PaidMeanwhile)
    );
    assert!(!answer.safe_to_refund && !answer.safe_to_buy_again && !answer.r#final);

    // Once the first is settled, "already paid" is a plain failure.
    let request = CheckTransactionRequest {
        account: String::new(),
        reference_code: open.clone(),
    };
    let settled = client
        .check_transaction(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(settled.transaction.unwrap().state(), State::Succeeded);
    resolve_failed(&mut client, &contested, answer.revision).await;
    let executed = async |code: &str| world.ledger(code).await.executed;
    assert_eq!((executed(&open).await, executed(&contested).await), (1, 0));
}

#[tokio::test]
async fn already_paid_by_somebody_else_is_a_plain_failure() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, "1111111").await;
    let mut elsewhere = World::without_sandbox(StoreKind::Embedded).await;
    let url = format!("http://127.0.0.1:{}/", world.sandbox_port);
    elsewhere.set("accounts.main.url", &url);
    let other = elsewhere.start_gateway().await;
    let theirs = other.bill(WATER, "1111111").await;
    pay(&mut other.client().await, &reference(), &theirs)
        .await
        .unwrap();
    let late = reference();
    let answer = pay(&mut gateway.client().await, &late, &inquiry)
        .await
        .unwrap();
    assert_eq!(
        (answer.state(), answer.reason()),
        (State::Failed, Reason::BillRefused)
    );
    assert_eq!(answer.status_code, "401");
    assert!(answer.safe_to_refund);
    assert_eq!(world.ledger(&late).await.executed, 0);
}

pub async fn resolve_failed(client: &mut Client, code: &str, revision: i64) {
    let request = ResolveTransactionRequest {
        reference_code: code.to_owned(),
        revision,
        resolution: Resolution::Failed.into(),
        operator: "test".into(),
        note: "the other one paid".into(),
        ..ResolveTransactionRequest::default()
    };
    let resolved = client.resolve_transaction(request).await.unwrap();
    let resolved = resolved.into_inner().transaction.unwrap();
    assert_eq!(resolved.state(), State::Failed);
}

#[tokio::test]
async fn a_purchase_after_an_inquiry_brings_its_references_along() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let code = reference();
        let question = prepaid_question(&code, "HPLNPRA20", "14234567895");
        let inquiry = gateway.inquirer().await.inquire_prepaid(question).await;
        let inquiry = inquiry.unwrap().into_inner().inquiry.unwrap();
        let mut request = order(&code, "14234567895");
        request.product_code = "HPLNPRA20".into();
        request.inquiry_code.clone_from(&inquiry.inquiry_code);
        let bought = client.purchase_prepaid(request.clone()).await.unwrap();
        let bought = bought.into_inner().transaction.unwrap();
        assert_eq!((bought.state(), bought.r#final), (State::Succeeded, true));
        assert_eq!(bought.inquiry_code, inquiry.inquiry_code);
        let sent = world.ledger(&code).await.parameters;
        let told = world
            .ask_sandbox(&format!("inquiry/{}", inquiry.inquiry_code))
            .await;
        for name in ["ref1", "ref2", "ref3"] {
            assert_eq!(sent[name], told[name], "{format} {name}");
        }
        assert_eq!(sent["inquirycode"], Value::Null, "it is never sent");
        assert_eq!(sent["querycode"], Value::Null);
        // Another reference code cannot have the same inquiry.
        request.reference_code = reference();
        let refused = client.purchase_prepaid(request).await;
        assert_refused(
            refused,
            Code::FailedPrecondition,
            "INQUIRY_ALREADY_USED",
            "no",
        );
    }
}

#[tokio::test]
async fn a_purchase_that_needs_an_inquiry_fails_without_one() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut request = order(&reference(), "14234567895");
    request.product_code = "HPLNPRA20".into();
    let answer = gateway.client().await.purchase_prepaid(request).await;
    let failed = answer.unwrap().into_inner().transaction.unwrap();
    assert_eq!(
        (failed.state(), failed.status_code.as_str()),
        (State::Failed, "405")
    );
}

#[tokio::test]
async fn a_check_that_finds_the_inquiry_never_makes_a_success() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("checks.give_up_after", "1500ms");
        let gateway = world.start_gateway().await;
        let code = reference();
        // The purchase never reaches OKEBAYAR; a check then finds the inquiry's 000.
        let unheard = "080000000014";
        let question = prepaid_question(&code, "PULSA10", unheard);
        let inquiry = gateway.inquirer().await.inquire_prepaid(question).await;
        let inquiry = inquiry.unwrap().into_inner().inquiry.unwrap();
        let mut request = order(&code, unheard);
        request.inquiry_code = inquiry.inquiry_code;
        request.set_wait_until(WaitUntil::Final);
        let answer = gateway.client().await.purchase_prepaid(request).await;
        let ended = answer.unwrap().into_inner().transaction.unwrap();
        assert_eq!(
            (ended.state(), ended.reason()),
            (State::NeedsReview, Reason::ChecksExhausted),
            "{format}"
        );
        let ledger = world.ledger(&code).await;
        assert!(ledger.checks >= 2 && ledger.executed == 0, "{ledger:?}");
    }
}

/// OKEBAYAR makes an inquiry of the POST, and checks find that.
#[tokio::test]
async fn post_that_is_taken_for_an_inquiry_never_becomes_a_success() {
    const LIKE_INQUIRY: &str = "080000000026";
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("checks.give_up_after", "1500ms");
        let gateway = world.start_gateway().await;
        let bill = gateway.bill(WATER, LIKE_INQUIRY).await;
        let found = r#"{"transactionstatus":"000","serialnumber":"","harga":""}"#;
        world.misprint(LIKE_INQUIRY, found).await;
        let (bought, paid) = (reference(), reference());
        let mut client = gateway.client().await;
        let ended = buy(&mut client, &bought, LIKE_INQUIRY).await;
        assert_eq!(ended.trace_code, "", "it is the inquiry's");
        pay(&mut client, &paid, &bill).await.unwrap();
        for code in [bought, paid] {
            let is_review = |seen: &Transaction| seen.state() == State::NeedsReview;
            let ended = gateway.until(&code, is_review).await;
            assert_eq!(ended.reason(), Reason::ChecksExhausted, "{format}");
            assert!(world.ledger(&code).await.checks >= 2);
        }
    }
}

async fn a_killed_gateway_settles_its_payment_by_checks(kind: StoreKind) {
    let mut world = World::new(kind).await;
    world
        .set("accounts.main.timeout", "1s")
        .set("limits.queue_timeout", "500ms");
    let mut gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, ANSWER_AND_CALLBACK_LOST).await;
    let code = reference();
    let call = {
        let (mut client, request) = (gateway.client().await, payment(&code, &inquiry));
        tokio::spawn(async move { client.pay_postpaid(request).await })
    };
    world.ledger_when(&code, "received=1").await;
    gateway.process.kill().await;
    drop(call.await);
    let gateway = world.start_gateway().await;
    let settled = gateway.until_final(&code).await;
    assert_eq!(settled.state(), State::Succeeded);
    let again = pay(&mut gateway.client().await, &code, &inquiry).await;
    assert_eq!(again.unwrap().state(), State::Succeeded);
    assert_to_the_letter(&world, &code, &inquiry, &[]).await;
}

#[tokio::test]
async fn the_most_talkative_log_tells_nothing_of_a_customer() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Redis).await;
        world.variables.push(("RUST_LOG".into(), "trace".into()));
        world.set("accounts.main.format", format);
        world.set("checks.give_up_after", "300ms");
        let mut gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let code = reference();
        let question = prepaid_question(&code, "HPLNPRA20", "14234567895");
        let meter = gateway.inquirer().await.inquire_prepaid(question).await;
        let meter = meter.unwrap().into_inner().inquiry.unwrap();
        let mut request = order(&code, "14234567895");
        request.product_code = "HPLNPRA20".into();
        request.inquiry_code = meter.inquiry_code;
        let bought = client.purchase_prepaid(request).await.unwrap();
        let token = bought.into_inner().transaction.unwrap().serial_number;
        let bill = gateway.bill("HPLNPASCA", TWO_BILLS).await;
        pay(&mut client, &reference(), &bill).await.unwrap();
        let open = gateway.bill(WATER, PENDING_FOR_EVER).await;
        let code = reference();
        pay(&mut client, &code, &open).await.unwrap();
        let open = gateway
            .until(&code, |one| one.state() == State::NeedsReview)
            .await;
        resolve_failed(&mut client, &code, open.revision).await;
        for secret in [
            "MELISA",
            "BUDI",
            "JL. MELATI",
            "514444444444",
            "0MUP210Z83A4C2E165D4522042E5CF9E",
            "14234567895",
            TWO_BILLS,
            CONTACT,
            "the other one paid",
            &token,
        ] {
            assert!(!secret.is_empty());
            gateway.process.add_secret(secret.to_owned());
        }
        gateway.process.kill().await;
        assert!(gateway.process.text().contains("TRACE"));
    }
}

#[tokio::test]
async fn a_stated_total_that_differs_names_the_right_one() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let inquiry = gateway.bill(WATER, "1111111").await;
    let mut request = payment(&reference(), &inquiry);
    request.total = rupiah(1);
    let status = gateway
        .client()
        .await
        .pay_postpaid(request)
        .await
        .unwrap_err();
    assert!(status.message().contains("IDR 53500"), "{status}");
    assert!(status.get_details_error_info().is_some());
}

on_both_stores!(
    two_reference_codes_race_for_one_inquiry,
    two_hundred_callers_pay_once,
    a_replay_after_the_inquirys_expiry_returns_the_payment,
    an_inquiry_is_free_again_once_its_payment_failed,
    an_inquiry_that_is_free_again_is_paid_by_one,
    a_killed_gateway_settles_its_payment_by_checks,
);
