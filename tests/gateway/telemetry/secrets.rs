//! Promise 15 against an OKEBAYAR that quotes the request: PIN and signature reach no caller,
//! notice, store or log, and all other text stays unchanged.

use std::collections::HashMap;

use md5::{Digest, Md5};
use okebayar_gateway::grpc::v1::{
    ListNoticesRequest, ListTransactionsRequest, TransactionState, WaitUntil,
    notice_service_client::NoticeServiceClient,
};
use serde_json::json;

use crate::support::{
    calls::{FORMATS, rupiah},
    process::{CANARY_PIN, PATIENCE, Process},
    world::{
        BINARY, Gateway, PENDING_FOR_EVER, PENDING_THEN_SUCCESS, StoreKind, USER_ID, WATER, World,
        buy, get, order, pay, reference,
    },
};

fn signature(code: &str) -> String {
    hex::encode(Md5::digest(format!("{USER_ID}{CANARY_PIN}{code}")))
}

fn assert_clean(what: &str, shown: &str, codes: &[&str]) {
    assert!(!shown.contains(CANARY_PIN), "the PIN is in {what}");
    for code in codes {
        let is_there = shown.contains(&signature(code));
        assert!(!is_there, "a signature is in {what}");
    }
}

/// Returns every text that may quote the request, in every form.
fn quoting() -> String {
    let all = format!("no: {{request}} {{json}} {{xml}} {{url}} {{signature}} PIN {CANARY_PIN}.");
    json!({
        "info": all,
        "responsestatus": all,
        "faultstring": all,
        "transactiontime": all,
        "responsetime": all,
        "request": "{xml}",
        "original": "{json}",
        "query": "{url}",
        "additionaldata": "{xml}",
        "userpin": CANARY_PIN,
        "signature": "{signature}",
    })
    .to_string()
}

async fn texts(gateway: &Gateway) -> Vec<String> {
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let listed = client.list_notices(ListNoticesRequest::default()).await;
    let notices = listed.unwrap().into_inner().notices;
    notices.into_iter().map(|notice| notice.text).collect()
}

/// Waits for the first notice, which is stored shortly after the answer, and returns all notices.
async fn notices(gateway: &Gateway) -> Vec<String> {
    let found = async {
        loop {
            let texts = texts(gateway).await;
            if !texts.is_empty() {
                return texts;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn answer_that_quotes_request_leaks_no_secret() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let mut gateway = world.start_gateway().await;
        let mut client = gateway.client().await;
        let mut codes = Vec::new();
        for account_number in [
            "081200000001",
            PENDING_THEN_SUCCESS,
            "080000009204",
            "7100001",
        ] {
            world.misprint(account_number, quoting()).await;
        }
        for (account_number, state) in [
            ("081200000001", TransactionState::Succeeded),
            // A check settles it as a success.
            (PENDING_THEN_SUCCESS, TransactionState::Succeeded),
            ("080000009204", TransactionState::Failed),
        ] {
            let code = reference();
            gateway.process.add_secret(signature(&code));
            let mut request = order(&code, account_number);
            request.set_wait_until(WaitUntil::Terminal);
            let bought = client.purchase_prepaid(request).await.unwrap();
            let bought = bought.into_inner().transaction.unwrap();
            assert_eq!(bought.state(), state, "{format} {account_number}");
            // A failure has no receipt that could show a text; the store holds one.
            let is_told = bought.info.starts_with("no: ");
            assert_eq!(
                is_told,
                state == TransactionState::Succeeded,
                "{format}: {}",
                bought.info
            );
            assert_clean("a transaction", &format!("{bought:?}"), &[&code]);
            codes.push(code);
        }
        let inquiry = gateway.bill(WATER, "7100001").await;
        let made = inquiry.reference_code.clone();
        assert!(inquiry.fields.len() > 4, "{format}: {:?}", inquiry.fields);
        let names: Vec<&str> = inquiry.fields.iter().map(|f| f.name.as_str()).collect();
        assert!(names.contains(&"request") && names.contains(&"original"));
        let is_secret = |name: &&str| name.contains("userpin") || name.contains("signature");
        assert!(!names.iter().any(is_secret), "{format}: {names:?}");
        assert_clean("an inquiry", &format!("{inquiry:?}"), &[&made]);
        let code = reference();
        let paid = pay(&mut client, &code, &inquiry).await.unwrap();
        assert_eq!(paid.state(), TransactionState::Succeeded, "{format}");
        assert_clean("a payment", &format!("{paid:?}"), &[&code]);
        codes.extend([made, code]);

        // Texts that quote the customer are not kept as notices, so this one quotes only the PIN.
        let quoted = json!({ "info": format!("PIN {CANARY_PIN} salah") });
        world.misprint("081200000002", quoted.to_string()).await;
        buy(&mut client, &reference(), "081200000002").await;

        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let texts = notices(&gateway).await;
        assert_clean("the notices", &texts.concat(), &codes);
        gateway.process.signal("-TERM");
        assert!(gateway.process.ended().await.success());
        let stored = std::fs::read(world.store_file()).unwrap();
        assert_clean("the store", &String::from_utf8_lossy(&stored), &codes);
        assert_clean("the log", &gateway.process.text(), &codes);
    }
}

#[tokio::test]
async fn callback_that_quotes_request_leaks_no_secret() {
    let mut world = World::new(StoreKind::Embedded).await;
    world
        .check_rarely()
        .set("accounts.main.callback_trusted", "true")
        .set("callbacks.allow", "127.0.0.1");
    let mut gateway = world.start_gateway().await;
    let code = reference();
    let mut client = gateway.client().await;
    buy(&mut client, &code, PENDING_FOR_EVER).await;
    let own = signature(&code);
    gateway.process.add_secret(own.clone());
    let request = json!({ "userpin": CANARY_PIN, "signature": own, "x": "y" }).to_string();
    let text = format!("{request} {own} {CANARY_PIN}");
    let body = json!({
        "referencecode": code,
        "status": "000",
        "serialnumber": "77001122",
        "transactiontime": text,
        "info": text,
        "other": request,
        "userpin": CANARY_PIN,
    });
    let called = reqwest::Client::new()
        .post(world.callback_url())
        .body(body.to_string())
        .send();
    assert_eq!(called.await.unwrap().status(), 200);
    let settled = gateway.until_final(&code).await;
    assert_eq!(settled.serial_number, "77001122");
    assert!(settled.info.contains("\"x\":\"y\""), "{}", settled.info);
    assert_clean("a transaction", &format!("{settled:?}"), &[&code]);
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
    let stored = std::fs::read(world.store_file()).unwrap();
    assert_clean("the store", &String::from_utf8_lossy(&stored), &[&code]);
}

/// Other spellings of the field names userpin and signature.
const SPELLINGS: [&str; 6] = [
    "t:userpin",
    "request.userpin",
    "userPin",
    "user_pin",
    "request_user-pin",
    "t:Signature",
];

#[tokio::test]
async fn secret_under_respelled_field_name_is_redacted() {
    for format in FORMATS {
        let mut world = World::new(StoreKind::Embedded).await;
        world.set("accounts.main.format", format);
        let mut gateway = world.start_gateway().await;
        let mut fields = serde_json::Map::new();
        for name in SPELLINGS {
            fields.insert(name.to_owned(), CANARY_PIN.into());
        }
        let envelope = format!(
            "<s:Envelope><t:userpin>{CANARY_PIN}</t:userpin><t:USER_PIN>{CANARY_PIN}</t:USER_PIN>\
             <t:caid>7</t:caid></s:Envelope>"
        );
        fields.insert("additionaldata".to_owned(), envelope.into());
        fields.insert("PLN_SIGNATURE".to_owned(), "8".into());
        let fields = serde_json::Value::from(fields).to_string();
        for number in ["081200000001", "7100001", "080000000009"] {
            world.misprint(number, fields.clone()).await;
        }
        let code = reference();
        let bought = buy(&mut gateway.client().await, &code, "081200000001").await;
        assert_eq!(bought.state(), TransactionState::Succeeded, "{format}");
        let inquiry = gateway.bill(WATER, "7100001").await;
        for fields in [&bought.fields, &inquiry.fields] {
            let value = |name: &str| {
                let found = fields.iter().find(|field| field.name == name);
                found.map(|field| field.value.as_str())
            };
            let inside = "additionaldata.s:Envelope.t:caid";
            assert_eq!(value(inside), Some("7"), "{format}: {fields:?}");
            assert_eq!(value("PLN_SIGNATURE"), Some("8"), "{format}: {fields:?}");
        }
        assert_clean("a transaction", &format!("{bought:?}"), &[&code]);
        assert_clean("an inquiry", &format!("{inquiry:?}"), &[]);

        let code = reference();
        let mut client = gateway.client().await;
        buy(&mut client, &code, PENDING_FOR_EVER).await;
        let form = format!(
            "referencecode={code}&status=000&serialnumber=1&info=x&request[userpin]={CANARY_PIN}\
             &request%5Buser_pin%5D={CANARY_PIN}"
        );
        let called = reqwest::Client::new()
            .post(world.callback_url())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send();
        assert_eq!(called.await.unwrap().status(), 200, "{format}");
        let shown = get(&mut client, &code).await.unwrap();
        assert_clean("a transaction", &format!("{shown:?}"), &[&code]);
        gateway.process.signal("-TERM");
        assert!(gateway.process.ended().await.success());
        let stored = std::fs::read(world.store_file()).unwrap();
        assert_clean("the store", &String::from_utf8_lossy(&stored), &[&code]);
    }
}

/// Labels are the caller's own data: returned to callers, and to nobody else.
#[tokio::test]
async fn label_is_returned_and_neither_logged_nor_sent() {
    const KEY: &str = "canary-key-3a9f";
    const VALUE: &str = "canary-value-77c1";
    let mut world = World::new(StoreKind::Embedded).await;
    world.variables.push(("RUST_LOG".into(), "debug".into()));
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(KEY.to_owned());
    gateway.process.add_secret(VALUE.to_owned());
    let mut client = gateway.client().await;
    let code = reference();
    let labels: HashMap<String, String> = [(KEY.to_owned(), VALUE.to_owned())].into();
    let mut request = order(&code, PENDING_THEN_SUCCESS);
    request.labels.clone_from(&labels);
    request.set_wait_until(WaitUntil::Terminal);
    client.purchase_prepaid(request).await.unwrap();
    let request = ListTransactionsRequest {
        labels: labels.clone(),
        ..ListTransactionsRequest::default()
    };
    let listed = client.list_transactions(request.clone()).await.unwrap();
    let listed = listed.into_inner().transactions;
    assert_eq!((listed.len(), &listed[0].labels), (1, &labels));
    let too_long = [(KEY.to_owned(), VALUE.repeat(4))].into();
    let refused = ListTransactionsRequest {
        labels: too_long,
        page_token: "x".into(),
        ..request
    };
    let status = client.list_transactions(refused).await.unwrap_err();
    assert!(status.message().contains("labels: "), "{status}");
    assert!(!format!("{status:?}").contains("canary"), "{status:?}");
    let sent = world.ledger(&code).await.parameters.to_string();
    assert!(!sent.contains("canary"), "{sent}");
    // The output is searched when it is complete.
    gateway.process.signal("-TERM");
    assert!(gateway.process.ended().await.success());
}

/// A PIN of realistic length.
const SHORT_PIN: &str = "123456";

#[tokio::test]
async fn text_containing_short_pin_is_not_redacted() {
    for format in FORMATS {
        let mut world = World::without_sandbox(StoreKind::Embedded).await;
        world
            .set("accounts.main.format", format)
            .set("accounts.main.pin", SHORT_PIN);
        let listen = format!("127.0.0.1:{}", world.sandbox_port);
        let arguments = ["sandbox", "--listen", &listen, "--userid", USER_ID];
        let pin = [("OKEBAYAR_SANDBOX_PIN".to_owned(), SHORT_PIN.to_owned())];
        let mut sandbox = Process::start(BINARY, &arguments, &pin, world.path());
        sandbox
            .line(|line| line.contains("listening").then_some(()))
            .await;
        world.sandbox = Some(sandbox);
        let gateway = world.start_gateway().await;
        let mut client = gateway.client().await;

        for token in ["12345678901234567890", SHORT_PIN, "0123 1234 123456 77"] {
            let fields = json!({
                "serialnumber": token,
                "harga": 123_456,
                "balance": "123456.00",
                "info": "PIN 123456 salah, token 1234567",
                "billingperiod": "123456",
                "PLN_NOREFPLN": "123456",
                "additionaldata": "<caid>123456</caid>",
            });
            world.misprint("081200123456", fields.to_string()).await;
            let code = format!("123456-{}", reference());
            let bought = buy(&mut client, &code, "081200123456").await;
            assert_eq!(bought.state(), TransactionState::Succeeded, "{format}");
            assert_eq!(bought.serial_number, token, "{format}");
            assert_eq!(bought.price, rupiah(123_456), "{format}");
            assert_eq!(bought.balance, rupiah(123_456), "{format}");
            assert_eq!(bought.reference_code, code);
            assert_eq!(bought.account_number, "081200123456");
            assert_eq!(bought.info, "PIN *** salah, token 1234567", "{format}");
            for name in ["billingperiod", "PLN_NOREFPLN", "additionaldata.caid"] {
                let found = bought.fields.iter().find(|field| field.name == name);
                assert_eq!(found.unwrap().value, SHORT_PIN, "{format} {name}");
            }
            let kept = get(&mut client, &code).await.unwrap();
            assert_eq!(kept.serial_number, token, "{format}");
        }

        let fields = json!({
            "ref1": "a 123456 b",
            "ref2": "123456",
            "nominal": "123456",
            "contactnumber": "123456",
        });
        world.misprint("123456", fields.to_string()).await;
        let inquiry = gateway.bill(WATER, "123456").await;
        assert_eq!(inquiry.total, rupiah(125_956), "{format}");
        let code = reference();
        let paid = pay(&mut client, &code, &inquiry).await.unwrap();
        assert_eq!(paid.state(), TransactionState::Succeeded, "{format}");
        let sent = world.ledger(&code).await.parameters;
        for name in ["ref1", "ref2", "nominal", "contactnumber"] {
            assert_eq!(sent[name], fields[name], "{format} {name}");
        }
        assert_eq!(sent["accnumber1"], "123456", "{format}");
    }
}
