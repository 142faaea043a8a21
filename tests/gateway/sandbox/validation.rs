//! The sandbox is as strict as docs/OKEBAYAR.md: an invalid request gets the documented status code in
//! either format.

use md5::{Digest, Md5};
use okebayar_gateway::okebayar::format::Format;

use crate::support::{
    ports,
    process::CANARY_PIN,
    world::{PLAIN, PRODUCT, StoreKind, USER_ID, World, reference},
};

type Parameters = Vec<(&'static str, String)>;

/// Returns the fields of a valid purchase.
fn purchase(code: &str) -> Parameters {
    let signature = hex::encode(Md5::digest(format!("{USER_ID}{CANARY_PIN}{code}")));
    vec![
        ("transactioncode", "OkeBayar-prabayar".into()),
        ("productcode", PRODUCT.into()),
        ("accnumber", PLAIN.into()),
        ("userid", USER_ID.into()),
        ("userpin", CANARY_PIN.into()),
        ("signature", signature),
        ("referencecode", code.into()),
    ]
}

fn with(mut parameters: Parameters, name: &str, value: &str) -> Parameters {
    let parameter = parameters
        .iter_mut()
        .find(|(known, _)| *known == name)
        .unwrap();
    value.clone_into(&mut parameter.1);
    parameters
}

fn without(mut parameters: Parameters, name: &str) -> Parameters {
    parameters.retain(|(known, _)| *known != name);
    parameters
}

/// Posts a body and returns the status code of the answer.
async fn post(port: u16, body: Vec<u8>, format: Format) -> String {
    let url = format!("http://127.0.0.1:{port}/");
    let answer = reqwest::Client::new()
        .post(url)
        .body(body)
        .send()
        .await
        .unwrap();
    let fields = format.read(&answer.bytes().await.unwrap()).unwrap();
    fields
        .into_iter()
        .find(|(name, _)| name == "transactionstatus")
        .unwrap()
        .1
}

async fn ask(port: u16, parameters: &Parameters, format: Format) -> String {
    let pairs: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    post(port, format.write(&pairs, &[]), format).await
}

#[tokio::test]
async fn not_found_code_is_configurable() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let port = world.sandbox_port;
    let arguments = ["--not-found-code", "234"];
    let _sandbox = world.sandbox_with(port, USER_ID, &arguments).await;
    let check = || {
        let check = with(
            purchase(&reference()),
            "transactioncode",
            "OkeBayar-cek-status",
        );
        without(without(check, "productcode"), "accnumber")
    };
    assert_eq!(ask(port, &check(), Format::Json).await, "234");
    world.not_found_code("204").await;
    assert_eq!(ask(port, &check(), Format::Xml).await, "204");
}

#[tokio::test]
async fn invalid_request_gets_documented_code() {
    let world = World::new(StoreKind::Embedded).await;
    let port = world.sandbox_port;
    for format in [Format::Json, Format::Xml] {
        let code = reference();
        let right = || purchase(&code);
        let mut renamed = right();
        renamed[1].0 = "productCode";
        let cases = [
            (
                with(right(), "signature", "0123456789abcdef0123456789abcdef"),
                "211",
            ),
            (with(right(), "userpin", "wrong"), "207"),
            (with(right(), "userid", "nobody"), "213"),
            (with(right(), "transactioncode", "OkeBayar-unknown"), "241"),
            (with(right(), "productcode", "UNKNOWN"), "205"),
            (with(right(), "accnumber", "not-a-number"), "204"),
            (without(right(), "accnumber"), "206"),
            (without(right(), "signature"), "206"),
            (renamed, "206"),
        ];
        for (parameters, status) in cases {
            assert_eq!(
                ask(port, &parameters, format).await,
                status,
                "{format:?} {status}"
            );
        }
        for garbage in ["", "{", "<transaction>", "<x></x>", "[1]"] {
            let format = if garbage.starts_with('<') {
                Format::Xml
            } else {
                Format::Json
            };
            assert_eq!(post(port, garbage.into(), format).await, "206", "{garbage}");
        }
        assert_eq!(world.ledger(&code).await.executed, 0);

        assert_eq!(ask(port, &right(), format).await, "000");
        assert_eq!(
            ask(port, &right(), format).await,
            "208",
            "a repeated purchase"
        );
        let other = with(right(), "productcode", "PULSA100");
        assert_eq!(
            ask(port, &other, format).await,
            "000",
            "another amount must be another purchase"
        );
        assert_eq!(world.ledger(&code).await.executed, 2);
        let check = with(
            without(without(right(), "accnumber"), "productcode"),
            "transactioncode",
            "OkeBayar-cek-status",
        );
        assert_eq!(ask(port, &check, format).await, "000");
        let fresh = reference();
        let unknown = with(
            without(purchase(&fresh), "accnumber"),
            "transactioncode",
            "OkeBayar-cek-status",
        );
        assert_eq!(ask(port, &unknown, format).await, "400");
    }
}

#[tokio::test]
async fn deposit_limits_purchases() {
    let world = World::without_sandbox(StoreKind::Embedded).await;
    let port = ports::free();
    let _sandbox = world
        .sandbox_with(port, USER_ID, &["--deposit", "25000"])
        .await;
    for status in ["000", "000", "203"] {
        assert_eq!(
            ask(port, &purchase(&reference()), Format::Json).await,
            status
        );
    }
}
