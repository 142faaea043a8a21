//! Serial numbers that prove nothing: those of an inquiry, and placeholders.

use okebayar_gateway::{
    grpc::v1::{CheckTransactionRequest, TransactionReason, TransactionState, WaitUntil},
    sandbox::scenario::NOT_RECEIVED_PREFIX,
};

use crate::support::{
    calls::FORMATS,
    on_both_stores,
    world::{PLAIN, StoreKind, World, assert_succeeded, buy, order, prepaid_question, reference},
};

/// An electricity token is inquired under the reference code of its purchase, whose POST is lost: a
/// check finds the inquiry and its fields.
async fn serial_number_of_inquiry_does_not_settle_lost_purchase(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world
            .set("accounts.main.format", format)
            .set("accounts.main.timeout", "1500ms")
            .set("checks.give_up_after", "4s");
        let gateway = world.start_gateway().await;
        // The misprint of the inquiry, and that of a later check.
        let cases = [
            (
                r#"{"serialnumber": "1234-5678"}"#,
                r#"{"serialnumber": "1234 5678"}"#,
            ),
            ("{}", r#"{"serialnumber": "-"}"#),
            ("{}", r#"{"serialnumber": "000"}"#),
            ("{}", r#"{"serialnumber": "N/A", "harga": "0"}"#),
            ("{}", r#"{"serialnumber": null, "harga": null}"#),
            (
                r#"{"PLN_TOKENUNSOLD1": "55667788"}"#,
                r#"{"serialnumber": "55667788"}"#,
            ),
        ];
        let mut bought = Vec::new();
        for (number, (inquiry, check)) in (204..).zip(cases) {
            // The purchase is never received; the sandbox knows the inquiry and answers checks with
            // it.
            let meter = format!("{NOT_RECEIVED_PREFIX}{number}");
            let code = reference();
            world.misprint(&meter, inquiry).await;
            let asked = prepaid_question(&code, "HPLNPRA20", &meter);
            let inquiry = gateway.inquirer().await.inquire_prepaid(asked).await;
            let inquiry = inquiry.unwrap().into_inner().inquiry.unwrap();
            world.misprint(&meter, check).await;
            let mut request = order(&code, &meter);
            request.product_code = "HPLNPRA20".into();
            request.inquiry_code = inquiry.inquiry_code;
            request.set_wait_until(WaitUntil::Terminal);
            let mut client = gateway.client().await;
            bought.push(async move { client.purchase_prepaid(request).await });
        }
        for (ended, case) in futures::future::join_all(bought)
            .await
            .into_iter()
            .zip(cases)
        {
            let ended = ended.unwrap().into_inner().transaction.unwrap();
            let found = (ended.state(), ended.reason());
            let review = (
                TransactionState::NeedsReview,
                TransactionReason::ChecksExhausted,
            );
            assert_eq!(found, review, "{case:?} {format}");
            assert_eq!(ended.serial_number, "", "{case:?} {format}");
        }
    }
}

#[tokio::test]
async fn placeholder_is_not_a_serial_number() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .check_rarely()
            .set("accounts.main.format", format)
            .set("checks.serial_number", "1h");
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        for printed in ["-", "0", "n/a", "NULL", "xxx", "pending", " "] {
            let fields = serde_json::json!({ "serialnumber": printed }).to_string();
            world.misprint(PLAIN, fields).await;
            let code = reference();
            let bought = buy(&mut client, &code, PLAIN).await;
            assert_eq!(bought.state(), TransactionState::Succeeded, "{printed}");
            assert!(
                bought.serial_number_pending && !bought.terminal,
                "{printed}"
            );
            assert_eq!(bought.serial_number, "", "{printed}");
            world.misprint(PLAIN, "{}").await;
            let request = CheckTransactionRequest {
                reference_code: code,
                ..CheckTransactionRequest::default()
            };
            let checked = client.check_transaction(request).await.unwrap();
            assert_succeeded(&checked.into_inner().transaction.unwrap());
        }
    }
}

on_both_stores!(serial_number_of_inquiry_does_not_settle_lost_purchase,);
