//! Answers that name another member prove nothing, settle nothing, and are counted.

use okebayar_gateway::grpc::v1::{
    CheckTransactionRequest, EchoRequest, EvidenceSource, GetBalanceRequest, TransactionReason,
    TransactionState, account_service_client::AccountServiceClient,
};
use tonic::Code;

use crate::support::{
    calls::FORMATS,
    process::PATIENCE,
    world::{
        Gateway, PENDING_FOR_EVER, PLAIN, StoreKind, USER_ID, WATER, World, assert_refused,
        assert_succeeded, buy, prepaid_question, question, reference,
    },
};

const ANOTHER: &str = "080000000027";
const MASKED: &str = "080000000028";

/// Waits until the counter of one operation is at least this high, and returns its value.
async fn counted(gateway: &Gateway, operation: &str, at_least: u64) {
    let series = format!(
        "okebayar_answers_another_member_total{{okebayar_account=\"main\",\
         okebayar_operation=\"{operation}\""
    );
    let found = async {
        loop {
            let url = format!("http://{}/metrics", gateway.admin);
            let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
            let line = metrics.lines().find(|line| line.starts_with(&series));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            if value.is_some_and(|value| value >= at_least as f64) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("{series} never reached {at_least}"));
}

#[tokio::test]
async fn purchase_answered_for_another_member_stays_unknown() {
    for format in FORMATS {
        for account_number in [ANOTHER, MASKED] {
            let mut world = World::new(StoreKind::Embedded).await;
            world.check_rarely().set("accounts.main.format", format);
            let gateway = world.start_gateway().await;
            for operation in ["purchase", "check", "callback"] {
                counted(&gateway, operation, 0).await;
            }
            let mut client = gateway.client().await;
            let code = reference();
            let bought = buy(&mut client, &code, account_number).await;
            assert_eq!(bought.state(), TransactionState::Confirming, "{format}");
            assert_eq!(
                bought.reason(),
                TransactionReason::UnclearAnswer,
                "{format}"
            );
            assert!(!bought.safe_to_refund && !bought.next_step().allows_purchase());
            assert_eq!((bought.trace_code.as_str(), bought.price), ("", None));
            counted(&gateway, "purchase", 1).await;
            let request = CheckTransactionRequest {
                reference_code: code.clone(),
                ..CheckTransactionRequest::default()
            };
            let checked = client.check_transaction(request).await.unwrap();
            let checked = checked.into_inner();
            assert!(checked.checked);
            let transaction = checked.transaction.unwrap();
            assert_eq!(
                transaction.state(),
                TransactionState::Confirming,
                "{format}"
            );
            counted(&gateway, "check", 1).await;
            // The purchase was executed: FAILED would be wrong.
            assert_eq!(world.ledger(&code).await.executed, 1);
        }
    }
}

#[tokio::test]
async fn masked_member_is_believed_when_configured() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("accounts.main.verify_userid", "false");
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        assert_succeeded(&buy(&mut client, &reference(), MASKED).await);
    }
}

#[tokio::test]
async fn own_or_absent_member_is_believed() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let upper = USER_ID.to_uppercase();
    for named in [format!("\"{upper}\""), "\"\"".to_owned(), "null".to_owned()] {
        let fields = format!("{{\"userid\": {named}}}");
        world.misprint("081200000001", fields).await;
        assert_succeeded(&buy(&mut client, &reference(), "081200000001").await);
    }
}

#[tokio::test]
async fn query_answered_for_another_member_is_rejected() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let gateway = world.start_gateway().await;
        let mut inquirer = gateway.inquirer().await;
        let asked = prepaid_question(&reference(), "HPLNPRA20", ANOTHER);
        let refused = inquirer.inquire_prepaid(asked).await;
        assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
        world.misprint("*", r#"{"userid": "somebody"}"#).await;
        // A rejection of another member's query does not concern ours.
        for account_number in ["1234567", "080000008400"] {
            let refused = inquirer
                .inquire_postpaid(question(WATER, account_number))
                .await;
            assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
        }
        let url = format!("http://{}", gateway.grpc);
        let mut accounts = AccountServiceClient::connect(url).await.unwrap();
        let refused = accounts.get_balance(GetBalanceRequest::default()).await;
        assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
        let echo = EchoRequest {
            message: "ping".into(),
            ..EchoRequest::default()
        };
        let refused = accounts.echo(echo).await;
        assert_refused(refused, Code::Unavailable, "NO_USABLE_ANSWER", "maybe");
        for (operation, count) in [
            ("prepaid_inquiry", 1),
            ("postpaid_inquiry", 2),
            ("balance", 1),
        ] {
            counted(&gateway, operation, count).await;
        }
    }
}

#[tokio::test]
async fn trusted_callback_for_another_member_settles_nothing() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("accounts.main.callback_trusted", "true")
        .set("callbacks.allow", "127.0.0.1");
    let gateway = world.start_gateway().await;
    let code = reference();
    buy(&mut gateway.client().await, &code, PENDING_FOR_EVER).await;
    let call = async |user_id: &str| {
        let body = serde_json::json!({
            "tracecode": format!("of-{user_id}"),
            "referencecode": code,
            "status": "000",
            "serialnumber": "77001122",
            "userid": user_id,
        });
        let called = reqwest::Client::new()
            .post(world.callback_url())
            .body(body.to_string())
            .send();
        assert_eq!(called.await.unwrap().status(), 200);
    };
    call("somebody").await;
    counted(&gateway, "callback", 1).await;
    // It is a hint like any other: shown, checked, and not believed.
    let reported = gateway
        .until(&code, |transaction| {
            let mut entries = transaction.timeline.iter();
            entries.any(|entry| entry.source() == EvidenceSource::Check)
        })
        .await;
    assert_eq!(reported.state(), TransactionState::Pending);
    assert_eq!(reported.reported_status_code, "000");
    call(&USER_ID.to_uppercase()).await;
    assert_succeeded(&gateway.until_final(&code).await);
}

#[tokio::test]
async fn deposit_of_another_member_is_not_reported() {
    let world = World::new(StoreKind::Embedded).await;
    let gateway = world.start_gateway().await;
    world
        .misprint(PLAIN, r#"{"userid": "somebody", "balance": 7}"#)
        .await;
    buy(&mut gateway.client().await, &reference(), PLAIN).await;
    counted(&gateway, "purchase", 1).await;
    let url = format!("http://{}/metrics", gateway.admin);
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    let deposit = metrics
        .lines()
        .find(|line| line.starts_with("okebayar_deposit_balance{"));
    assert_eq!(deposit, None);
}
