//! The payment of a bill: from its inquiry to its receipt.

use okebayar_gateway::grpc::v1::{
    BpjsCustomer, Date, InquirePostpaidRequest, Money, PayPostpaidRequest, PstnCustomer,
    TransactionOperation, TransactionState, inquire_postpaid_request::Customer,
};
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    calls::{FORMATS, rupiah},
    on_both_stores,
    payments::{assert_verbatim, resolve_failed},
    world::{
        ANSWER_AND_CALLBACK_LOST, CONTACT, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, StoreKind,
        TWO_BILLS, WATER, World, assert_refused, order, pay, payment, prepaid_question, question,
        reference,
    },
};

#[tokio::test]
async fn bill_is_inquired_paid_and_watched_until_final() {
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
            assert_eq!(
                paid.state(),
                TransactionState::Succeeded,
                "{format} {product}"
            );
            assert_eq!(paid.operation(), TransactionOperation::PayPostpaid);
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
            assert_verbatim(&world, &code, &inquiry, but).await;
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
async fn receipt_contains_every_answered_field() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let inquiry = gateway.bill("HPLNPASCA", TWO_BILLS).await;
    let code = reference();
    let paid = pay(&mut gateway.client().await, &code, &inquiry)
        .await
        .unwrap();
    assert_eq!(
        (paid.state(), paid.terminal),
        (TransactionState::Succeeded, true)
    );
    assert_eq!(paid.info, "TERIMA KASIH");
    let field = |name: &str| {
        let found = paid.fields.iter().find(|field| field.name == name);
        found
            .unwrap_or_else(|| panic!("{name} is missing"))
            .value
            .as_str()
    };
    let period = paid.bill.as_ref().unwrap().billing_period;
    let october = Date {
        year: 2026,
        month: 10,
        day: 0,
    };
    assert_eq!(period, Some(october));
    assert_eq!(field("additionaldata.subscribername"), "BUDI & SITI");
    assert_eq!(field("additionaldata.blth2"), "202602");
    assert_eq!(field("nominal"), "103000.00");
}

#[tokio::test]
async fn payment_that_differs_from_inquiry_is_rejected_before_sending() {
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
        // Only a rejection after the store was read proves that nothing was sent.
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
    // None of the rejected calls bound the inquiry.
    let mut right = with_total(money(53_500));
    let paid = client
        .pay_postpaid(right.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        paid.transaction.unwrap().state(),
        TransactionState::Succeeded
    );
    // The request is the fingerprint: another stated total is another request.
    right.total = rupiah(53_501);
    let refused = client.pay_postpaid(right).await;
    assert_refused(
        refused,
        Code::AlreadyExists,
        "REFERENCE_CODE_REUSED",
        "maybe",
    );
}

#[tokio::test]
async fn purchase_after_inquiry_sends_its_references() {
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
        assert_eq!(
            (bought.state(), bought.terminal),
            (TransactionState::Succeeded, true)
        );
        assert_eq!(bought.inquiry_code, inquiry.inquiry_code);
        let sent = world.ledger(&code).await.parameters;
        let inquired = world
            .ask_sandbox(&format!("inquiry/{}", inquiry.inquiry_code))
            .await;
        for name in ["ref1", "ref2", "ref3"] {
            assert_eq!(sent[name], inquired[name], "{format} {name}");
        }
        assert_eq!(
            sent["inquirycode"],
            Value::Null,
            "the inquiry code must never be sent"
        );
        assert_eq!(sent["querycode"], Value::Null);
        // Another reference code cannot use the same inquiry.
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
async fn purchase_that_requires_inquiry_fails_without_one() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut request = order(&reference(), "14234567895");
    request.product_code = "HPLNPRA20".into();
    let answer = gateway.client().await.purchase_prepaid(request).await;
    let failed = answer.unwrap().into_inner().transaction.unwrap();
    assert_eq!(
        (failed.state(), failed.status_code.as_str()),
        (TransactionState::Failed, "405")
    );
}

async fn killed_gateway_settles_payment_by_checks(kind: StoreKind) {
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
    assert_eq!(settled.state(), TransactionState::Succeeded);
    let again = pay(&mut gateway.client().await, &code, &inquiry).await;
    assert_eq!(again.unwrap().state(), TransactionState::Succeeded);
    assert_verbatim(&world, &code, &inquiry, &[]).await;
}

#[tokio::test]
async fn trace_log_omits_customer_data() {
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
            .until(&code, |one| one.state() == TransactionState::NeedsReview)
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
async fn total_mismatch_names_expected_total() {
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

on_both_stores!(killed_gateway_settles_payment_by_checks,);
