//! Account numbers and reference codes that OKEBAYAR returns in another form.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, Evidence, EvidenceSource, Transaction, TransactionReason,
    TransactionState,
};
use tonic::Code;

use crate::support::{
    calls::FORMATS,
    metrics::counted,
    on_both_stores,
    world::{
        Gateway, StoreKind, WATER, World, assert_refused, assert_succeeded, buy, prepaid_question,
        question, reference,
    },
};

const NUMBER: &str = "081234567890";

const OTHER_FORM: &str = "+62 812-3456-7890";

const PRINTED: &str = r#"{"accnumber": "+62 812-3456-7890"}"#;

async fn check(gateway: &Gateway, code: &str) -> Transaction {
    let request = CheckTransactionRequest {
        reference_code: code.to_owned(),
        ..CheckTransactionRequest::default()
    };
    let mut client = gateway.client().await;
    let checked = client.check_transaction(request).await.unwrap();
    let checked = checked.into_inner();
    assert!(checked.checked);
    checked.transaction.unwrap()
}

fn assert_unclear(transaction: &Transaction) {
    assert_eq!(
        transaction.state(),
        TransactionState::Confirming,
        "{transaction:#?}"
    );
    assert_eq!(transaction.reason(), TransactionReason::UnclearAnswer);
    assert!(!transaction.safe_to_refund && !transaction.next_step().allows_purchase());
    assert_eq!(transaction.serial_number, "");
    assert_eq!(
        (transaction.trace_code.as_str(), &transaction.price),
        ("", &None)
    );
}

/// Returns the timeline entry of the unbelieved answer.
fn unbelieved(transaction: &Transaction, source: EvidenceSource) -> &Evidence {
    let mut entries = transaction.timeline.iter();
    let entry = entries.find(|entry| entry.source() == source && !entry.believed);
    entry.unwrap_or_else(|| panic!("{transaction:#?}"))
}

async fn answer_with_reformatted_number_is_recorded_as_unbelieved_and_counted(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world
            .check_rarely()
            .set("accounts.main.format", format)
            .set("accounts.main.callback_trusted", "true")
            .set("callbacks.allow", "127.0.0.1");
        let gateway = world.start_gateway().await;
        for field in [
            "accnumber",
            "productcode",
            "accnumber2",
            "accnumber3",
            "inquirycode",
        ] {
            counted(&gateway, field, 0).await;
        }
        world.misprint(NUMBER, PRINTED).await;
        let code = reference();
        let bought = buy(&mut gateway.client().await, &code, NUMBER).await;
        assert_unclear(&bought);
        let entry = unbelieved(&bought, EvidenceSource::Answer);
        assert_eq!(entry.status_code, "000");
        for part in ["accnumber ****7890", "tracecode ", "harga 10500"] {
            assert!(entry.description.contains(part), "{entry:?}");
        }
        counted(&gateway, "accnumber", 1).await;
        let first = check(&gateway, &code).await;
        assert_unclear(&first);
        assert_eq!(unbelieved(&first, EvidenceSource::Check).status_code, "000");
        let again = check(&gateway, &code).await;
        assert_unclear(&again);
        assert_eq!(
            again.revision, first.revision,
            "a repeated answer must not add a revision"
        );
        assert_eq!(unbelieved(&again, EvidenceSource::Check).count, 2);
        counted(&gateway, "accnumber", 3).await;
        call_back(&world, &code).await;
        // The callback is a hint, so a check follows.
        counted(&gateway, "accnumber", 4).await;
        let text = gateway.process.text();
        assert!(text.contains("account_number_forms"), "{text}");
        assert!(
            !text.contains(OTHER_FORM) && !text.contains(NUMBER),
            "{text}"
        );

        // The remedy that the log names settles the open transaction.
        let mut gateway = gateway;
        gateway.process.signal("-TERM");
        assert!(gateway.process.ended().await.success());
        world.set("accounts.main.account_number_forms", "msisdn");
        let gateway = world.start_gateway().await;
        assert_succeeded(&check(&gateway, &code).await);
        assert_eq!(world.ledger(&code).await.executed, 1);
    }
}

async fn call_back(world: &World, code: &str) {
    let body = serde_json::json!({
        "tracecode": "of-the-callback",
        "referencecode": code,
        "status": "200",
        "accnumber": OTHER_FORM,
        "productcode": "PULSA10",
    });
    let call = reqwest::Client::new().post(world.callback_url());
    let answer = call.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn answer_with_reformatted_number_is_believed_when_configured() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .check_rarely()
            .set("accounts.main.format", format)
            .set("accounts.main.account_number_forms", "msisdn");
        let gateway = world.start_gateway().await;
        world.misprint(NUMBER, PRINTED).await;
        let mut client = gateway.client().await;
        assert_succeeded(&buy(&mut client, &reference(), NUMBER).await);
        let mut inquirer = gateway.inquirer().await;
        let printed = r#"{"accnumber1": "6281234567890"}"#;
        world.misprint(NUMBER, printed).await;
        let asked = prepaid_question(&reference(), "HPLNPRA20", NUMBER);
        assert!(inquirer.inquire_prepaid(asked).await.is_ok(), "{format}");
        let asked = question(WATER, NUMBER);
        assert!(inquirer.inquire_postpaid(asked).await.is_ok(), "{format}");
        // Another mobile number, or another meter, still differs.
        let others = [(NUMBER, "081234567891"), ("514444444444", "0514444444444")];
        for (count, (number, named)) in (1..).zip(others) {
            world
                .misprint(
                    number,
                    format!("{{\"accnumber\": \"{named}\", \"accnumber1\": \"{named}\"}}"),
                )
                .await;
            assert_unclear(&buy(&mut client, &reference(), number).await);
            let asked = prepaid_question(&reference(), "HPLNPRA20", number);
            let refused = inquirer.inquire_prepaid(asked).await;
            assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
            counted(&gateway, "accnumber", 2 * count).await;
        }
        world
            .misprint("*", r#"{"productcode": "PULSA10-V2"}"#)
            .await;
        let bought = buy(&mut client, &reference(), "081200000001").await;
        assert_unclear(&bought);
        let description = &unbelieved(&bought, EvidenceSource::Answer).description;
        assert!(
            description.contains("productcode PULSA10-V2"),
            "{description}"
        );
        counted(&gateway, "productcode", 1).await;
    }
}

/// OKEBAYAR omits the hyphens of the reference code in every answer.
#[tokio::test]
async fn answer_with_unhyphenated_reference_code_is_believed() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.check_rarely().set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let code = reference();
        let named = code.replace('-', "").to_uppercase();
        assert_ne!(named, code);
        let fields = serde_json::json!({ "referencecode": named, "transactionstatus": "002" });
        world.misprint(NUMBER, fields.to_string()).await;
        let bought = buy(&mut gateway.client().await, &code, NUMBER).await;
        assert_eq!(bought.state(), TransactionState::Pending, "{format}");
        let fields = serde_json::json!({ "referencecode": named });
        world.misprint(NUMBER, fields.to_string()).await;
        assert_succeeded(&check(&gateway, &code).await);
    }
}

on_both_stores!(answer_with_reformatted_number_is_recorded_as_unbelieved_and_counted);
