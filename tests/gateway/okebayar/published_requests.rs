//! Requests of the gateway compared with OKEBAYAR's published ones.

use std::sync::Arc;

use async_trait::async_trait;
use okebayar_gateway::{
    okebayar::{
        account::Account,
        answer_error::AnswerError,
        body::Body,
        client::Client,
        format::Format,
        json, requests,
        transport::{HttpAnswer, Transport, TransportError},
        xml,
    },
    transaction::{
        AccountNumber, Details, Finding, InquiriesMade, ProductCode, Source, Statement, TraceCode,
    },
};

use crate::support::{
    core::{at, schedule},
    samples::{SIGNATURE, account, asked, format_of, payment, sample},
};

/// Returns every name and text of a request, in order.
fn sent(body: Body, format: Format) -> Vec<(String, String)> {
    match format {
        Format::Json => json::read(&body.into_bytes()).unwrap(),
        Format::Xml => xml::read(&body.into_bytes(), Some("transaction")).unwrap(),
    }
}

#[test]
fn prepaid_inquiry_request_equals_published_one() {
    let published = xml::read(&sample("prepaid-inquiry-request.xml"), Some("transaction"));
    let product = ProductCode::parse("HPLNPRA20").unwrap();
    let meter = AccountNumber::parse("14234567895").unwrap();
    let body = requests::prepaid_inquiry(&account(Format::Xml), "1234567890", &product, &meter);
    let masked = |fields: Vec<(String, String)>| {
        let mut fields: Vec<_> = fields
            .into_iter()
            .filter(|(name, _)| !["userid", "userpin", "signature"].contains(&name.as_str()))
            .collect();
        fields.sort();
        fields
    };
    assert_eq!(masked(sent(body, Format::Xml)), masked(published.unwrap()));
}

#[test]
fn payment_request_copies_inquiry_fields_verbatim() {
    for format in [Format::Json, Format::Xml] {
        let fields = sent(requests::order(&account(format), &payment()), format);
        let expected = [
            ("transactioncode", "OkeBayar-inquiry"),
            ("productcode", "HPLNPASCA"),
            ("accnumber1", "0812"),
            ("accnumber2", "0021"),
            ("accnumber3", ""),
            ("contactnumber", "x@y.z"),
            ("nominal", "110000.00"),
            ("adminfee", "0002500"),
            ("ref1", " a<b> "),
            ("ref2", ""),
            ("ref3", "\"c\" & 'd'"),
            ("inquirycode", "inquiry-1"),
            ("userid", "userId"),
            ("userpin", "userPin"),
            ("signature", SIGNATURE),
            ("referencecode", "kodeReferensiPartner"),
        ];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(fields, expected, "{format:?}");
    }
}

#[test]
fn json_amounts_are_numbers_unless_configured_as_text() {
    let body = |numbers| {
        let account = Account {
            json_numbers: numbers,
            ..account(Format::Json)
        };
        String::from_utf8(requests::order(&account, &payment()).into_bytes()).unwrap()
    };
    // A JSON number may not begin with zeros.
    assert!(body(true).contains(r#""nominal":110000.00,"adminfee":"0002500""#));
    assert!(body(false).contains(r#""nominal":"110000.00","adminfee":"0002500""#));
}

#[test]
fn purchase_request_equals_published_one() {
    for name in ["prepaid-request.json", "prepaid-request.xml"] {
        let format = format_of(name);
        let fields = |body: &[u8]| {
            let mut fields = match format {
                Format::Json => json::read(body).unwrap(),
                Format::Xml => xml::read(body, Some("transaction")).unwrap(),
            };
            fields.sort();
            fields
        };
        let mut published = fields(&sample(name));
        let signature = published
            .iter_mut()
            .find(|(name, _)| name == "signature")
            .unwrap();
        SIGNATURE.clone_into(&mut signature.1);
        let body = requests::order(&account(format), &asked());
        assert!(body.content_type().ends_with(if format == Format::Xml {
            "/xml"
        } else {
            "/json"
        }));
        assert_eq!(fields(&body.into_bytes()), published, "{name}");
    }
}

#[tokio::test]
async fn check_request_carries_only_trace_code_of_own_answer() {
    let recorder = Recorder::default();
    let bodies = Arc::clone(&recorder.bodies);
    let client = Client::new(account(Format::Json), Arc::new(recorder));
    let fresh = asked();
    let details = |trace: &str| Details {
        trace_code: TraceCode::parse(trace).ok(),
        ..Details::default()
    };
    let checked = Statement::new(
        Source::Check,
        Finding::Pending,
        None,
        details("of-the-check"),
    );
    let unanswered = fresh
        .observe([checked], at(1), &schedule())
        .unwrap()
        .transaction;
    let own = Statement::new(
        Source::Answer,
        Finding::Pending,
        None,
        details("of-the-answer"),
    );
    let answered = unanswered
        .observe([own], at(2), &schedule())
        .unwrap()
        .transaction;
    for asked in [&fresh, &unanswered, &answered] {
        assert!(matches!(
            client.check(asked, &InquiriesMade::default()).await,
            Err(AnswerError::NoAnswer(_))
        ));
    }
    let mut expected = serde_json::json!({
        "transactioncode": "OkeBayar-cek-status",
        "userid": "userId",
        "userpin": "userPin",
        "signature": SIGNATURE,
        "referencecode": "kodeReferensiPartner",
    });
    let sent: Vec<serde_json::Value> = bodies
        .lock()
        .unwrap()
        .iter()
        .map(|body| serde_json::from_slice(body).unwrap())
        .collect();
    assert_eq!(sent[..2], [expected.clone(), expected.clone()]);
    expected["tracecode"] = "of-the-answer".into();
    assert_eq!(sent[2], expected);
}

#[derive(Default)]
struct Recorder {
    bodies: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

#[async_trait]
impl Transport for Recorder {
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError> {
        self.bodies.lock().unwrap().push(body.into_bytes());
        Err(TransportError::TimedOut)
    }
}
