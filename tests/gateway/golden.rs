//! OKEBAYAR's published samples, slips included, and what the gateway makes of
//! them. XML samples are kept for the XML codec.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use okebayar_gateway::{
    okebayar::{
        answer::{Answer, interpret},
        client::{Account, Client, NothingLearnt},
        json,
        request::{self, Credentials, TransactionCodes},
        transport::{HttpAnswer, Transport, TransportError},
        verdict::{CodeLists, Ignored, of_check, of_purchase},
    },
    transaction::{
        AccountName, AccountNumber, Amount, AttemptToken, Contents, Finding, Intent, Operation,
        ProductCode, ReferenceCode, SerialNumber, Source, StatusCode, Transaction, Unknown,
    },
};

use crate::properties::{RULES, at, schedule};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/okebayar")
            .join(name),
    )
    .unwrap()
}

fn wib() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(7))
}

/// The purchase of the samples.
fn asked() -> Arc<Transaction> {
    let intent = Intent {
        account: AccountName::parse("main").unwrap(),
        reference_code: ReferenceCode::parse("kodeReferensiPartner").unwrap(),
        contents: Contents {
            operation: Operation::PurchasePrepaid,
            product_code: ProductCode::parse("productCode").unwrap(),
            account_number: AccountNumber::parse("081234567890").unwrap(),
        },
    };
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    Transaction::begin(intent, token, at(0), RULES, &schedule()).transaction
}

fn credentials() -> Credentials {
    Credentials {
        user_id: "userId".into(),
        pin: "userPin".into(),
    }
}

fn codes() -> TransactionCodes {
    TransactionCodes {
        prepaid: "OkeBayar-prabayar".into(),
        check: "OkeBayar-cek-status".into(),
    }
}

fn read(body: &[u8]) -> Answer {
    interpret(json::read(body).unwrap(), &wib()).unwrap()
}

#[test]
fn the_published_answers_read_in_full() {
    for name in ["prepaid-response.json", "seed-status.json"] {
        let answer = read(&sample(name));
        assert_eq!(answer.status_code(), StatusCode::read("000"), "{name}");
        assert_eq!(
            answer.reference_code.as_deref(),
            Some("kodeReferensiPartner")
        );
        assert_eq!(answer.product_code.as_deref(), Some("productCode"));
        assert_eq!(answer.account_number.as_deref(), Some("081234567890"));
        let details = &answer.details;
        assert_eq!(
            details.trace_code.as_ref().unwrap().as_str(),
            "1234567890123456"
        );
        assert_eq!(
            details.serial_number,
            SerialNumber::read("11223344556677889900")
        );
        assert_eq!(details.price, Amount::parse("11000.00").ok(), "{name}");
        assert_eq!(details.balance, Amount::parse("510000123.00").ok());
        assert_eq!(
            details.time,
            Some(
                "2020-05-01T01:30:59.123+07:00"
                    .parse::<Timestamp>()
                    .unwrap()
            )
        );
        assert!(details.unread.is_empty() && !answer.is_inquiry);
        let said = of_purchase(&answer, &asked(), &CodeLists::default());
        assert_eq!(said.finding, Finding::Succeeded);
    }
}

#[test]
fn the_purchase_request_is_the_published_one_but_for_the_masked_signature() {
    let mut published: serde_json::Value =
        serde_json::from_slice(&sample("prepaid-request.json")).unwrap();
    published["signature"] = "329e765e5e7f0732522ffe45e12b3b3a".into();
    let sent = Recorder::default();
    let recorded = Arc::clone(&sent.bodies);
    let client = client(sent);
    // Sent by the client itself, through its transport: nothing else makes a body.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let nothing = runtime.block_on(client.check(&asked()));
    assert!(matches!(nothing, Err(NothingLearnt::NoAnswer(_))));
    let check: serde_json::Value = serde_json::from_slice(&recorded.lock().unwrap()[0]).unwrap();
    assert_eq!(
        check,
        serde_json::json!({
            "transactioncode": "OkeBayar-cek-status",
            "userid": "userId",
            "userpin": "userPin",
            "signature": "329e765e5e7f0732522ffe45e12b3b3a",
            "referencecode": "kodeReferensiPartner",
        })
    );
    let purchase = request::purchase(&credentials(), &codes(), &asked()).into_bytes();
    let purchase: serde_json::Value = serde_json::from_slice(&purchase).unwrap();
    assert_eq!(purchase, published);
}

#[test]
fn an_answer_about_something_else_proves_nothing() {
    let base = String::from_utf8(sample("seed-status.json")).unwrap();
    let lists = CodeLists::default();
    let about = |text: String| {
        let answer = read(text.as_bytes());
        let own = of_purchase(&answer, &asked(), &lists);
        assert_eq!(own.source, Source::Answer);
        (
            own.finding,
            of_check(&answer, &asked(), &lists).map(|said| said.finding),
        )
    };
    assert_eq!(
        about(base.clone()),
        (Finding::Succeeded, Ok(Finding::Succeeded))
    );
    for other in [
        base.replace("kodeReferensiPartner", "another-reference"),
        base.replace("productCode", "PULSA5"),
        base.replace("081234567890", "081234567891"),
    ] {
        let another = (
            Finding::Unknown(Unknown::AboutAnother),
            Err(Ignored::AboutAnother),
        );
        assert_eq!(about(other), another);
    }
    let nobody = base.replace("\"referencecode\"", "\"othercode\"");
    assert_eq!(
        about(nobody),
        (Finding::Succeeded, Err(Ignored::AboutAnother))
    );
    let inquiry = base.replace(
        "\"userid\"",
        "\"Inquiryexpired\": \"200325200912\", \"userid\"",
    );
    assert_eq!(
        about(inquiry),
        (
            Finding::Unknown(Unknown::AboutInquiry),
            Err(Ignored::AboutInquiry)
        )
    );
}

#[test]
fn every_code_of_a_check_is_about_the_transaction_or_ignored() {
    let base = String::from_utf8(sample("seed-status.json")).unwrap();
    let mut ignored = Vec::new();
    for code in 0..1000_u16 {
        let text = base.replace("\"000\"", &format!("\"{code:03}\""));
        let said = of_check(&read(text.as_bytes()), &asked(), &CodeLists::default());
        match (code, said) {
            (0 | 1, Ok(said)) => assert_eq!(said.finding, Finding::Succeeded, "{code}"),
            (2..=199, Ok(said)) => assert_eq!(said.finding, Finding::Pending, "{code}"),
            (200.., Ok(said)) => {
                assert!(
                    matches!(said.finding, Finding::Failed(_) | Finding::Doubtful(_)),
                    "{code}"
                );
            }
            (_, Err(_)) => ignored.push(code),
        }
    }
    assert_eq!(
        ignored,
        [
            206, 207, 208, 211, 212, 213, 214, 216, 217, 241, 260, 261, 270, 400, 401, 402, 403,
            404, 405, 510
        ]
    );
}

#[test]
fn slips_that_are_not_answers_are_refused_and_never_panic() {
    for name in [
        "prepaid-response.xml",
        "seed-status.xml",
        "prepaid-inquiry-response.xml",
    ] {
        assert!(json::read(&sample(name)).is_err(), "{name}");
    }
    let whole = sample("prepaid-response.json");
    let end = whole.iter().rposition(|byte| *byte == b'}').unwrap();
    for cut in 0..end {
        assert!(json::read(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[derive(Default)]
struct Recorder {
    bodies: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

#[async_trait]
impl Transport for Recorder {
    async fn post(&self, body: request::Body) -> Result<HttpAnswer, TransportError> {
        self.bodies.lock().unwrap().push(body.into_bytes());
        Err(TransportError::TimedOut)
    }
}

fn client(transport: Recorder) -> Client {
    let account = Account {
        credentials: credentials(),
        transaction_codes: codes(),
        code_lists: CodeLists::default(),
        zone: wib(),
    };
    Client::new(account, Arc::new(transport))
}
