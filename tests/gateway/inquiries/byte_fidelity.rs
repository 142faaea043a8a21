//! Fields of an inquiry are returned byte for byte, white space and control characters included, or
//! the payment is rejected.

use okebayar_gateway::grpc::v1::{Inquiry, TransactionState};
use serde_json::json;
use tonic::Code;

use crate::support::{
    calls::FORMATS,
    world::{
        Gateway, StoreKind, WATER, World, assert_refused, order, pay, prepaid_question, reference,
    },
};

const REF1: &str = "\tone\n";
const REF2: &str = "two\r\nlines\rand \u{7f}";
const REF3: &str = " <&>\"' \u{85}\u{2028} ";
const CONTACT: &str = "a@b.c\td";
const NAMES: [&str; 4] = ["ref1", "ref2", "ref3", "contactnumber"];

async fn gateway(format: &str) -> (World, Gateway) {
    let mut world = World::new(StoreKind::Embedded).await;
    world.set("accounts.main.format", format);
    let gateway = world.start_gateway().await;
    (world, gateway)
}

fn refs(inquiry: &Inquiry) -> [&str; 3] {
    [&inquiry.ref1, &inquiry.ref2, &inquiry.ref3]
}

#[tokio::test]
async fn bill_payment_returns_control_characters_unchanged() {
    for format in FORMATS {
        let (world, gateway) = gateway(format).await;
        let fields = json!({ "ref1": REF1, "ref2": REF2, "ref3": REF3, "contactnumber": CONTACT });
        world.misprint("7100001", fields.to_string()).await;
        let inquiry = gateway.bill(WATER, "7100001").await;
        assert_eq!(refs(&inquiry), [REF1, REF2, REF3], "{format}");
        assert_eq!(inquiry.contact_number, CONTACT, "{format}");
        let code = reference();
        let paid = pay(&mut gateway.client().await, &code, &inquiry).await;
        assert_eq!(
            paid.unwrap().state(),
            TransactionState::Succeeded,
            "{format}"
        );
        let sent = world.ledger(&code).await;
        assert_eq!((sent.received, sent.executed), (1, 1));
        for name in NAMES {
            assert_eq!(sent.parameters[name], fields[name], "{format} {name}");
        }
    }
}

#[tokio::test]
async fn meter_purchase_returns_control_characters_unchanged() {
    for format in FORMATS {
        let (world, gateway) = gateway(format).await;
        let fields = json!({ "ref1": REF1, "ref2": REF2, "ref3": REF3 });
        world.misprint("14234567895", fields.to_string()).await;
        let code = reference();
        let asked = prepaid_question(&code, "HPLNPRA20", "14234567895");
        let found = gateway.inquirer().await.inquire_prepaid(asked).await;
        let inquiry = found.unwrap().into_inner().inquiry.unwrap();
        assert_eq!(refs(&inquiry), [REF1, REF2, REF3], "{format}");
        let mut request = order(&code, "14234567895");
        request.product_code = "HPLNPRA20".into();
        request.inquiry_code = inquiry.inquiry_code;
        let bought = gateway.client().await.purchase_prepaid(request).await;
        let bought = bought.unwrap().into_inner().transaction.unwrap();
        assert_eq!(bought.state(), TransactionState::Succeeded, "{format}");
        let sent = world.ledger(&code).await.parameters;
        for name in ["ref1", "ref2", "ref3"] {
            assert_eq!(sent[name], fields[name], "{format} {name}");
        }
    }
}

#[tokio::test]
async fn payment_is_rejected_when_xml_cannot_carry_its_text() {
    let odd = json!({ "ref2": "a\u{1}b" }).to_string();
    // JSON can carry the text.
    let (mut world, mut gateway) = gateway("json").await;
    world.misprint("7100002", odd.clone()).await;
    let inquiry = gateway.bill(WATER, "7100002").await;
    assert_eq!(inquiry.ref2, "a\u{1}b");
    let code = reference();
    let paid = pay(&mut gateway.client().await, &code, &inquiry).await;
    assert_eq!(paid.unwrap().state(), TransactionState::Succeeded);
    assert_eq!(world.ledger(&code).await.parameters["ref2"], "a\u{1}b");

    // An inquiry from before the account changed its format, and one in XML itself.
    let before = gateway.bill(WATER, "7100002").await;
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
    world.set("accounts.main.format", "xml");
    let gateway = world.start_gateway().await;
    let after = gateway.bill(WATER, "7100002").await;
    assert_eq!(after.ref2, "a\u{1}b");
    for inquiry in [before, after] {
        let code = reference();
        let refused = pay(&mut gateway.client().await, &code, &inquiry).await;
        let status = assert_refused(
            refused,
            Code::FailedPrecondition,
            "INQUIRY_UNSENDABLE",
            "no",
        );
        assert!(status.message().contains("ref2"), "{status}");
        assert_eq!(world.ledger(&code).await.received, 0);
    }
}
