//! Inquiry codes that OKEBAYAR issues again: each payment is of the bill that the customer was
//! shown.

use okebayar_gateway::{
    grpc::v1::{
        Inquiry, PayPostpaidRequest, PurchasePrepaidRequest, TransactionState,
        inquire_postpaid_request::Customer,
    },
    inquiries::stored,
    store::{CasResult, Expiry, Store},
    transaction::{AccountName, InquiryCode},
};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    bills::{ANNA, BUDI, TOTAL, store_of},
    calls::{FORMATS, rupiah},
    on_both_stores,
    payments::SandboxProxy,
    world::{
        StoreKind, WATER, World, assert_refused, order, pay, payment, prepaid_question, question,
        reference,
    },
};

fn named(inquiry: &Inquiry, code: &str, account_number: &str) -> PayPostpaidRequest {
    PayPostpaidRequest {
        account_number: account_number.to_owned(),
        ..payment(code, inquiry)
    }
}

/// Returns the fields of a payment that OKEBAYAR received.
async fn sent(world: &World, code: &str) -> Value {
    let ledger = world.ledger(code).await;
    assert_eq!((ledger.received, ledger.executed), (1, 1));
    ledger.parameters
}

async fn reused_code_pays_bill_of_named_customer(kind: StoreKind) {
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
        // The total alone does not distinguish them.
        let codes = [reference(), reference()];
        for code in &codes {
            let refused = pay(&mut client, code, &annas).await;
            let reason = "INQUIRY_AMBIGUOUS";
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
            assert_eq!(
                paid.state(),
                TransactionState::Succeeded,
                "{format} {paid:#?}"
            );
            let sent = sent(&world, code).await;
            assert_eq!(sent["accnumber1"], customer);
            assert_eq!(sent["ref2"], *inquiry.ref2);
            let again = client.pay_postpaid(request).await.unwrap().into_inner();
            assert!(again.replayed);
        }
        // Another customer makes it another payment.
        let other = client.pay_postpaid(named(&annas, &codes[0], BUDI)).await;
        let reason = "REFERENCE_CODE_REUSED";
        assert_refused(other, Code::AlreadyExists, reason, "maybe");
    }
}

async fn reused_code_pays_bill_with_stated_total(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        // The first bill is paid in one case, the second in the other.
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
            let sent_nominal = sent["nominal"].as_str().unwrap();
            assert_eq!(sent_nominal.split('.').next(), Some(nominal), "{format}");
            assert_eq!(sent["ref2"], *shown.ref2);
        }
    }
}

async fn expired_inquiry_under_reused_code_does_not_pay_other_customer(kind: StoreKind) {
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
    let reason = "INQUIRY_AMBIGUOUS";
    assert_refused(refused, Code::FailedPrecondition, reason, "no");
    let refused = client.pay_postpaid(named(&annas, &code, ANNA)).await;
    assert_refused(refused, Code::FailedPrecondition, "INQUIRY_EXPIRED", "no");
    assert_eq!(world.ledger(&code).await.received, 0);
    let paid = client.pay_postpaid(named(&budis, &code, BUDI)).await;
    assert!(paid.is_ok());
    assert_eq!(sent(&world, &code).await["accnumber1"], BUDI);
}

/// An unsent reference code stays bound to its own bill, although the total would also match
/// another customer's.
async fn rearmed_payment_keeps_its_customer_under_reused_code(kind: StoreKind) {
    let mut world = World::new(kind).await;
    let given = json!({ "inquirycode": "GIVEN-TWICE" });
    world.bill_as("*", given).await;
    let mut proxy = SandboxProxy::to_sandbox(&mut world);
    proxy.open().await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let annas = gateway.bill(WATER, ANNA).await;
    let codes = [reference(), reference()];
    proxy.close().await;
    for code in &codes {
        let unsent = pay(&mut client, code, &annas).await;
        assert_refused(unsent, Code::Unavailable, "OKEBAYAR_UNREACHABLE", "no");
    }
    proxy.open().await;
    let budis = gateway.bill(WATER, BUDI).await;
    assert_eq!(annas.total, budis.total);
    if kind == StoreKind::Redis {
        // An earlier release keeps only the newest inquiry.
        let store = store_of(&world).await;
        let code = InquiryCode::parse("GIVEN-TWICE").unwrap();
        let account = AccountName::parse("main").unwrap();
        let known = stored::load(&store, &account, &code).await.unwrap();
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
    assert_eq!(paid.unwrap().state(), TransactionState::Succeeded);
    assert_eq!(sent(&world, &codes[1]).await["accnumber1"], ANNA);
}

#[tokio::test]
async fn inquiry_is_rejected_when_code_has_eight_bills() {
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
    // A repeated inquiry for the same bill needs no further place.
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

async fn telephone_lines_under_one_code_are_distinguished(kind: StoreKind) {
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
        let reason = "INQUIRY_AMBIGUOUS";
        assert_refused(refused, Code::FailedPrecondition, reason, "no");
        let joined = format!("021{number}");
        let paid = client.pay_postpaid(named(&inquiry, &code, &joined)).await;
        assert!(paid.is_ok(), "{paid:?}");
        assert_eq!(sent(&world, &code).await["accnumber2"], number);
    }
}

async fn meters_under_one_code_keep_their_own_references(kind: StoreKind) {
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

on_both_stores!(
    reused_code_pays_bill_of_named_customer,
    reused_code_pays_bill_with_stated_total,
    expired_inquiry_under_reused_code_does_not_pay_other_customer,
    rearmed_payment_keeps_its_customer_under_reused_code,
    telephone_lines_under_one_code_are_distinguished,
    meters_under_one_code_keep_their_own_references,
);
