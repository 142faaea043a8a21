//! Answers with contradictory fields, or about another customer (promises 8, 16 and 17), in both
//! formats and in any order.

use std::collections::BTreeMap;

use okebayar_gateway::grpc::v1::{
    BpjsCustomer, CheckTransactionRequest, Evidence, GetBalanceRequest, InquirePostpaidRequest,
    Inquiry, PstnCustomer, Transaction, TransactionReason, TransactionState,
    account_service_client::AccountServiceClient, inquire_postpaid_request::Customer,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::{
    calls::{FORMATS, rupiah},
    fake_okebayar::{REFERENCE, serve_later, written},
    metrics::counted,
    world::{
        CONTACT, Gateway, PLAIN, PRODUCT, StoreKind, USER_ID, WATER, World, assert_refused,
        assert_succeeded, buy, pay, prepaid_question, reference,
    },
};

/// Names and texts in the order of the answer; `{reference}` stands for the reference code.
type Pairs = Vec<(&'static str, &'static str)>;

/// Serves the same answer to every request, with the request's reference code.
async fn serve(port: u16, answer: impl Fn(&str) -> String + Send + Sync + 'static) {
    serve_later(port, move |reference_code| {
        Box::pin(std::future::ready(Some(answer(&reference_code))))
    })
    .await;
}

const SUCCESS: [(&str, &str); 6] = [
    ("tracecode", "t-1"),
    ("transactionstatus", "000"),
    ("serialnumber", "112233"),
    ("productcode", PRODUCT),
    ("accnumber", PLAIN),
    ("referencecode", REFERENCE),
];

async fn bought(format: &'static str, pairs: Pairs) -> (World, Gateway, Transaction) {
    let mut world = World::without_sandbox(StoreKind::Embedded).await;
    world.check_rarely().set("accounts.main.format", format);
    let answer = move |reference_code: &str| written(format, &pairs, reference_code);
    serve(world.sandbox_port, answer).await;
    let gateway = world.start_gateway().await;
    let transaction = buy(&mut gateway.client().await, &reference(), PLAIN).await;
    (world, gateway, transaction)
}

#[tokio::test]
async fn conflict_in_informational_field_keeps_outcome() {
    let conflicts: [[(&str, &str); 2]; 6] = [
        [
            ("transactiontime", "200501013059123"),
            ("responsetime", "200501013059124"),
        ],
        [("harga", "10500"), ("harga", "10600")],
        [("balance", "5.00"), ("balance", "6")],
        [("info", "promo A"), ("info", "promo B")],
        [("message", "a"), ("message", "b")],
        [("contactnumber", "0811"), ("contactnumber", "0812")],
    ];
    for format in FORMATS {
        for conflict in &conflicts {
            let mut timelines = Vec::new();
            for order in [[0, 1], [1, 0]] {
                let mut pairs = SUCCESS.to_vec();
                pairs.extend(order.map(|at| conflict[at]));
                let (_world, _gateway, found) = bought(format, pairs).await;
                let name = conflict[0].0;
                assert_eq!(
                    found.state(),
                    TransactionState::Succeeded,
                    "{format} {name}"
                );
                assert_eq!(found.serial_number, "112233", "{format} {name}");
                // Two different amounts or times are as good as none.
                assert_eq!((found.price, found.balance), (None, None), "{name}");
                assert_eq!(found.transaction_time, None, "{name}");
                if name == "info" {
                    assert_eq!(found.info, "promo A / promo B");
                }
                let timeline: Vec<String> = found
                    .timeline
                    .iter()
                    .map(|entry| entry.description.clone())
                    .collect();
                timelines.push(timeline);
            }
            assert_eq!(timelines[0], timelines[1], "{format} {conflict:?}");
        }
    }
}

#[tokio::test]
async fn equal_amounts_in_two_forms_do_not_conflict() {
    for format in FORMATS {
        let mut pairs = SUCCESS.to_vec();
        pairs.extend([("harga", "10500.00"), ("HARGA", "10500"), ("balance", "7")]);
        let (_world, _gateway, found) = bought(format, pairs).await;
        assert_succeeded(&found);
        assert_eq!(found.price, rupiah(10_500), "{format}");
        assert_eq!(found.balance, rupiah(7), "{format}");
    }
}

#[tokio::test]
async fn conflict_in_identifying_or_unknown_field_makes_outcome_unknown() {
    for format in FORMATS {
        for vital in [
            ("status", "204"),
            ("tracecode", "t-2"),
            ("serialnumber", "445566"),
            ("productcode", "PULSA100"),
            ("accnumber1", "081200000009"),
            ("referencecode", "another-reference"),
            ("userid", "somebody"),
        ] {
            let mut pairs = SUCCESS.to_vec();
            pairs.push(("userid", USER_ID));
            for order in [false, true] {
                let at = if order { 0 } else { pairs.len() };
                let mut pairs = pairs.clone();
                pairs.insert(at, vital);
                let (_world, _gateway, found) = bought(format, pairs).await;
                assert_eq!(
                    found.state(),
                    TransactionState::Confirming,
                    "{format} {vital:?}"
                );
                assert_eq!(
                    found.reason(),
                    TransactionReason::UnclearAnswer,
                    "{format} {vital:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn check_with_conflicting_time_or_balance_still_settles() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.check_rarely().set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let code = reference();
        let account_number = "080000000008";
        let mut client = gateway.client().await;
        let lost = buy(&mut client, &code, account_number).await;
        assert_eq!(lost.state(), TransactionState::Confirming, "{format}");
        let time = json!({ "responsetime": "200501013059123" }).to_string();
        world.misprint(account_number, time).await;
        let request = CheckTransactionRequest {
            reference_code: code.clone(),
            ..CheckTransactionRequest::default()
        };
        let checked = client.check_transaction(request).await.unwrap();
        assert_succeeded(&checked.into_inner().transaction.unwrap());

        world
            .misprint("*", r#"{"Balance": "5", "balance": "6"}"#)
            .await;
        let url = format!("http://{}", gateway.grpc);
        let mut accounts = AccountServiceClient::connect(url).await.unwrap();
        let refused = accounts.get_balance(GetBalanceRequest::default()).await;
        assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
    }
}

async fn ask(gateway: &Gateway, product_code: &str, customer: Customer) -> Result<Inquiry, Status> {
    let request = InquirePostpaidRequest {
        product_code: product_code.into(),
        customer: Some(customer),
        contact_number: CONTACT.into(),
        ..InquirePostpaidRequest::default()
    };
    let answer = gateway.inquirer().await.inquire_postpaid(request).await?;
    Ok(answer.into_inner().inquiry.unwrap())
}

const MEMBER: &str = "0001234567890";

const PAYER: &str = "081288887777";

fn line() -> Customer {
    Customer::Pstn(PstnCustomer {
        area_code: "021".into(),
        number: "5551234".into(),
    })
}

fn member() -> Customer {
    Customer::Bpjs(BpjsCustomer {
        member_number: MEMBER.into(),
        months: 3,
        payer_phone: PAYER.into(),
    })
}

/// A product, the account number of its misprint, the customer, the misprint, and the expected
/// result.
type Case<T> = (&'static str, &'static str, fn() -> Customer, Value, T);

/// Returns the only field that a misprint changes.
fn field_of(misprint: &Value) -> String {
    let name = misprint.as_object().unwrap().keys().next();
    name.unwrap().to_lowercase()
}

fn bpjs<T>(misprint: Value, then: T) -> Case<T> {
    ("HBPJSKES", MEMBER, member, misprint, then)
}

fn plain() -> Customer {
    Customer::AccountNumber("7100001".into())
}

#[tokio::test]
async fn inquiry_answer_with_other_second_or_third_number_is_rejected() {
    let cases: [Case<bool>; 14] = [
        (
            "HTELEPON",
            "021",
            line,
            json!({"accnumber2": "5551235"}),
            false,
        ),
        ("HTELEPON", "021", line, json!({"accnumber2": ""}), true),
        (
            "HTELEPON",
            "021",
            line,
            json!({"accnumber3": "5551235"}),
            false,
        ),
        bpjs(json!({"accnumber3": "12"}), false),
        bpjs(json!({"accnumber3": "03"}), true),
        bpjs(json!({"accnumber2": PAYER}), true),
        bpjs(json!({"accnumber2": "+6281288887777"}), true),
        bpjs(json!({"accnumber2": "0812-8888-7777"}), true),
        bpjs(json!({"accnumber2": CONTACT}), true),
        bpjs(json!({"accnumber2": "0009999999999"}), false),
        (
            WATER,
            "7100001",
            plain,
            json!({"accnumber2": "7100002"}),
            false,
        ),
        (WATER, "7100001", plain, json!({"accnumber3": "1"}), false),
        (
            WATER,
            "7100001",
            plain,
            json!({"accnumber2": "-", "accnumber3": "0"}),
            true,
        ),
        (
            WATER,
            "7100001",
            plain,
            json!({"ACCNUMBER2": "7100002"}),
            false,
        ),
    ];
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut reported = BTreeMap::new();
        for (product, number, customer, misprint, is_found) in &cases {
            world.misprint(number, misprint.to_string()).await;
            let found = ask(&gateway, product, customer()).await;
            if *is_found {
                found.unwrap_or_else(|status| panic!("{format} {misprint}: {status}"));
            } else {
                assert_refused(found, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
                let field = field_of(misprint);
                let seen = reported.entry(field.clone()).or_insert(0);
                *seen += 1;
                counted(&gateway, &field, *seen).await;
            }
        }
    }
}

#[tokio::test]
async fn prepaid_inquiry_answer_with_second_number_is_rejected() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        world
            .misprint(PLAIN, json!({"accnumber2": "081234567891"}).to_string())
            .await;
        let asked = prepaid_question(&reference(), PRODUCT, PLAIN);
        let found = gateway.inquirer().await.inquire_prepaid(asked).await;
        assert_refused(found, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
    }
}

#[tokio::test]
async fn payment_answer_with_other_second_or_third_number_is_unknown() {
    let cases: [Case<TransactionState>; 8] = [
        (
            "HTELEPON",
            "021",
            line,
            json!({"accnumber2": "5551235"}),
            TransactionState::Confirming,
        ),
        (
            "HTELEPON",
            "021",
            line,
            json!({"accnumber2": ""}),
            TransactionState::Succeeded,
        ),
        bpjs(json!({"accnumber3": "12"}), TransactionState::Confirming),
        bpjs(
            json!({"accnumber2": "6281288887777", "accnumber3": "03"}),
            TransactionState::Succeeded,
        ),
        bpjs(
            json!({"accnumber2": "0009999999999"}),
            TransactionState::Confirming,
        ),
        bpjs(
            json!({"accnumber2": "+62 812-8888-7777"}),
            TransactionState::Succeeded,
        ),
        (
            WATER,
            "7100001",
            plain,
            json!({"inquirycode": "of-another-bill"}),
            TransactionState::Confirming,
        ),
        (
            WATER,
            "7100001",
            plain,
            json!({"accnumber2": "7100001"}),
            TransactionState::Succeeded,
        ),
    ];
    for format in FORMATS {
        for (product, number, customer, misprint, state) in &cases {
            let mut world = World::new(StoreKind::Embedded).await;
            world.check_rarely().set("accounts.main.format", format);
            let gateway = world.start_gateway().await;
            let mut client = gateway.client().await;
            let bill = ask(&gateway, product, customer()).await.unwrap();
            world.misprint(number, misprint.to_string()).await;
            let code = reference();
            let paid = pay(&mut client, &code, &bill).await.unwrap();
            assert_eq!(paid.state(), *state, "{format} {misprint}");
            // A check that names the other number settles nothing; a check that omits it settles.
            if *state == TransactionState::Confirming {
                let field = field_of(misprint);
                counted(&gateway, &field, 1).await;
                let check = || CheckTransactionRequest {
                    reference_code: code.clone(),
                    ..CheckTransactionRequest::default()
                };
                let checked = client.check_transaction(check()).await.unwrap();
                let checked = checked.into_inner().transaction.unwrap();
                assert_eq!(
                    checked.state(),
                    TransactionState::Confirming,
                    "{format} {misprint}"
                );
                counted(&gateway, &field, 2).await;
                let unbelieved = |entry: &&Evidence| {
                    !entry.believed && entry.description.contains(&format!("{field} ****"))
                };
                let kept = checked.timeline.iter().filter(unbelieved).count();
                assert_eq!(kept, 2, "of the payment and of the check: {checked:#?}");
                world.misprint(number, "{}").await;
                let settled = loop {
                    let checked = client.check_transaction(check()).await.unwrap();
                    let checked = checked.into_inner();
                    if checked.checked {
                        break checked.transaction.unwrap();
                    }
                    tokio::task::yield_now().await;
                };
                assert_succeeded(&settled);
            }
            assert_eq!(world.ledger(&code).await.executed, 1, "{format} {misprint}");
        }
    }
}
