//! OKEBAYAR's published samples, slips included, and what the gateway makes of
//! them.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use jiff::{Timestamp, tz::TimeZone};
use okebayar_gateway::{
    okebayar::{
        answer::{Answer, interpret},
        client::{Account, Client, NothingLearnt},
        format::Format,
        json,
        request::{self, Credentials, TransactionCodes},
        subject::Mismatch,
        transport::{HttpAnswer, Transport, TransportError},
        verdict::{self, Asked, CodeLists, Ignored, of_purchase},
        xml,
    },
    transaction::{
        AccountNumber, Amount, AttemptToken, Bill, Contents, Details, Finding, Inquired,
        InquiriesMade, InquiryCode, ProductCode, SerialNumber, Source, Statement, StatusCode,
        TraceCode, Transaction, Unknown, Verbatim,
    },
};

use crate::support::core::{RULES, arming, at, schedule, wish};

pub fn sample(name: &str) -> Vec<u8> {
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
    let (intent, order) = wish("kodeReferensiPartner", "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule()).transaction
}

fn account(format: Format) -> Account {
    Account {
        format,
        credentials: Credentials {
            user_id: "userId".into(),
            pin: "userPin".into(),
        },
        transaction_codes: TransactionCodes {
            prepaid: "OkeBayar-prabayar".into(),
            inquiry: "OkeBayar-inquiry".into(),
            payment: "OkeBayar-inquiry".into(),
            check: "OkeBayar-cek-status".into(),
            balance: "OkeBayar-cek-balance".into(),
            echo: "OkeBayar-echo".into(),
        },
        code_lists: CodeLists::default(),
        json_numbers: true,
        verify_user_id: true,
        zone: wib(),
    }
}

/// Notes an inquiry and the status code of its answer.
fn note(made: &mut InquiriesMade, id: &str, code: &str) {
    made.note(id);
    made.note_answer(id, StatusCode::read(code).unwrap(), &Details::default());
}

/// What a check's answer proves where nothing was inquired.
fn of_check(answer: &Answer, about: &Transaction, lists: &CodeLists) -> Result<Statement, Ignored> {
    let asked = Asked {
        transaction: about,
        inquired: &InquiriesMade::default(),
    };
    verdict::of_check(answer, asked, lists)
}

fn read(body: &[u8], format: Format) -> Answer {
    interpret(format.read(body).unwrap(), &wib()).unwrap()
}

fn format_of(name: &str) -> Format {
    if Path::new(name).extension().unwrap() == "xml" {
        Format::Xml
    } else {
        Format::Json
    }
}

#[test]
fn the_published_answers_read_in_full() {
    // (sample, price, balance, whether its time can be read)
    let samples = [
        ("prepaid-response.json", "11000.00", "510000123.00", true),
        ("seed-status.json", "11000.00", "510000123.00", true),
        ("prepaid-response.xml", "110000", "50590000", false),
        ("seed-status.xml", "110000", "50590000", false),
    ];
    for (name, price, balance, has_time) in samples {
        let answer = read(&sample(name), format_of(name));
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
        assert_eq!(details.price, Amount::parse(price).ok(), "{name}");
        assert_eq!(details.balance, Amount::parse(balance).ok());
        let time = "2020-05-01T01:30:59.123+07:00"
            .parse::<Timestamp>()
            .unwrap();
        assert_eq!(details.time, has_time.then_some(time), "{name}");
        // The samples' literal YYMMddHHmmssSSS is kept and spoils nothing.
        assert_eq!(details.unread.len(), usize::from(!has_time), "{name}");
        assert!(!answer.is_inquiry);
        let said = of_purchase(&answer, &asked(), &CodeLists::default());
        assert_eq!(said.finding, Finding::Succeeded);
    }
}

/// Every name and text of a request, in order.
fn sent(body: request::Body, format: Format) -> Vec<(String, String)> {
    match format {
        Format::Json => json::read(&body.into_bytes()).unwrap(),
        Format::Xml => xml::read(&body.into_bytes(), Some("transaction")).unwrap(),
    }
}

#[test]
fn the_prepaid_inquiry_is_the_published_one_but_for_masked_values() {
    let published = xml::read(&sample("prepaid-inquiry-request.xml"), Some("transaction"));
    let product = ProductCode::parse("HPLNPRA20").unwrap();
    let meter = AccountNumber::parse("14234567895").unwrap();
    let body = request::prepaid_inquiry(&account(Format::Xml), "1234567890", &product, &meter);
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

/// The payment of a bill whose texts must survive as they are.
fn payment() -> Arc<Transaction> {
    let inquiry_code = InquiryCode::parse("inquiry-1").unwrap();
    let text = Verbatim::new;
    let (mut intent, mut order) = wish("kodeReferensiPartner", "HPLNPASCA");
    intent.contents = Contents::PayPostpaid {
        inquiry_code,
        total: None,
    };
    order.inquired = Some(Inquired {
        refs: [
            Some(text(" a<b> ")),
            Some(text("")),
            Some(text("\"c\" & 'd'")),
        ],
        at: None,
        customer: text("c"),
        bill: Some(Bill {
            account_numbers: [text("0812"), text("0021"), text("")],
            contact_number: text("x@y.z"),
            nominal: text("110000.00"),
            admin_fee: text("0002500"),
        }),
    });
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    Transaction::begin(intent, order, arming(token, 0), RULES, &schedule()).transaction
}

#[test]
fn a_payment_sends_what_the_inquiry_told_to_the_letter() {
    for format in [Format::Json, Format::Xml] {
        let fields = sent(request::order(&account(format), &payment()), format);
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
fn json_writes_amounts_as_numbers_unless_told_otherwise() {
    let body = |numbers| {
        let account = Account {
            json_numbers: numbers,
            ..account(Format::Json)
        };
        String::from_utf8(request::order(&account, &payment()).into_bytes()).unwrap()
    };
    // A number may not begin with zeros.
    assert!(body(true).contains(r#""nominal":110000.00,"adminfee":"0002500""#));
    assert!(body(false).contains(r#""nominal":"110000.00","adminfee":"0002500""#));
}

#[test]
fn a_payment_answered_about_an_inquiry_or_another_one_proves_nothing() {
    let about = |fields: &[(&str, &str)]| {
        let fields = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let answer = interpret(fields, &wib()).unwrap();
        of_purchase(&answer, &payment(), &CodeLists::default()).finding
    };
    let reference = ("referencecode", "kodeReferensiPartner");
    let own = [
        reference,
        ("responsecode", "000"),
        ("inquirycode", "inquiry-1"),
    ];
    assert_eq!(about(&own), Finding::Succeeded);
    let cases = [
        (("inquiryexpired", "200325200912"), Unknown::AboutInquiry),
        (("INQUIRYEXPIRED", ""), Unknown::AboutInquiry),
        (("accnumber1", "0813"), Unknown::AboutAnother),
        (("productcode", "HPDAM"), Unknown::AboutAnother),
    ];
    for (field, unknown) in cases {
        let fields = [&own[..], &[field]].concat();
        assert_eq!(about(&fields), Finding::Unknown(unknown), "{field:?}");
    }
    let other = [("responsecode", "000"), ("inquirycode", "inquiry-2")];
    assert_eq!(about(&other), Finding::Unknown(Unknown::AboutAnother));
}

#[test]
fn what_a_check_finds_under_a_reference_code_used_for_an_inquiry() {
    let base = [
        ("referencecode", "kodeReferensiPartner"),
        ("productcode", "productCode"),
        ("accnumber", "081234567890"),
        ("harga", "0"),
    ];
    let own = Statement::new(
        Source::Answer,
        Finding::Unknown(Unknown::Inconclusive),
        None,
        Details {
            trace_code: TraceCode::parse("own").ok(),
            ..Details::default()
        },
    );
    let asked = asked()
        .observe([own], at(1), &schedule())
        .unwrap()
        .transaction;
    let mut made = InquiriesMade::default();
    note(&mut made, "one", "204");
    note(&mut made, "two", "000");
    let check = |inquired: &InquiriesMade, more: &[(&str, &str)]| {
        let fields = [&base[..], more].concat();
        let fields = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let answer = interpret(fields, &wib()).unwrap_or_default();
        let asked = Asked {
            transaction: &asked,
            inquired,
        };
        verdict::of_check(&answer, asked, &CodeLists::default()).map(|said| said.finding)
    };
    let none = InquiriesMade::default();
    let doubted = Err(Ignored::MayBeInquiry);
    let (success, failure) = (("transactionstatus", "000"), ("transactionstatus", "204"));
    assert_eq!(check(&none, &[success]), Ok(Finding::Succeeded));
    assert_eq!(check(&made, &[success]), doubted);
    assert_eq!(check(&made, &[("transactionstatus", "001")]), doubted);
    let proof = ("serialnumber", "1");
    assert_eq!(check(&made, &[success, proof]), Ok(Finding::Succeeded));
    // The check told the POST's own trace code, so it may be an echo.
    for trace_code in ["own", "another"] {
        let told = ("tracecode", trace_code);
        assert_eq!(check(&made, &[success, told]), doubted, "{trace_code}");
        assert_eq!(check(&made, &[failure, told]), doubted, "{trace_code}");
    }
    // An inquiry got 204 as well; nobody got 203.
    assert_eq!(check(&made, &[failure]), doubted);
    let exhausted = ("transactionstatus", "203");
    assert!(matches!(check(&made, &[exhausted]), Ok(Finding::Failed(_))));
    made.note("three");
    assert_eq!(
        check(&made, &[exhausted]),
        doubted,
        "one inquiry's answer is not known"
    );
}

#[test]
fn never_received_may_be_about_an_inquiry_and_never_comes_with_a_record() {
    let lists = CodeLists {
        not_received: StatusCode::read("400").into_iter().collect(),
        ..CodeLists::default()
    };
    let asked = asked();
    let check = |inquired: &InquiriesMade, code: &str, more: &[(&str, &str)]| {
        let base = [
            ("referencecode", "kodeReferensiPartner"),
            ("transactionstatus", code),
        ];
        let fields = [&base[..], more].concat();
        let fields = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let answer = interpret(fields, &wib()).unwrap_or_default();
        let asked = Asked {
            transaction: &asked,
            inquired,
        };
        let ignored = match verdict::of_check(&answer, asked, &lists) {
            Ok(said) => return (Ok(said.finding), false, false),
            Err(ignored) => ignored,
        };
        let shown = verdict::of_ignored_check(&answer, &lists, ignored);
        assert!(shown.as_ref().is_none_or(Statement::shows_receipt));
        let no_sign = verdict::shows_no_sign(&answer, &lists, ignored);
        (Err(ignored), shown.is_some(), no_sign)
    };
    let record = [
        ("productcode", "productCode"),
        ("accnumber", "081234567890"),
    ];
    let none = InquiriesMade::default();
    let mut made = InquiriesMade::default();
    note(&mut made, "one", "000");
    let believed = (Ok(Finding::NotReceived), false, false);
    assert_eq!(check(&none, "400", &[]), believed);
    assert_eq!(check(&made, "400", &[]), believed);
    // What the store may have forgotten would make every code one of an inquiry.
    made.note_forgotten();
    assert_eq!(check(&made, "400", &[]), believed);
    let may_be_inquiry = Err(Ignored::MayBeInquiry);
    assert_eq!(check(&made, "002", &[]), (may_be_inquiry, true, false));
    // Any failure may be what OKEBAYAR answers for a reference code that it does not have.
    assert_eq!(check(&made, "204", &[]), (may_be_inquiry, false, true));
    assert_eq!(check(&made, "204", &record), (may_be_inquiry, true, false));
    note(&mut made, "two", "400");
    assert_eq!(check(&made, "400", &[]), (may_be_inquiry, false, true));
    let itself = Err(Ignored::ContradictsItself);
    assert_eq!(check(&none, "400", &record), (itself, true, false));
    // 207 is about the check, but a record is a record; 401 may be ours that paid.
    let about_the_check = Err(Ignored::AboutTheCheck);
    assert_eq!(check(&none, "207", &[]), (about_the_check, false, false));
    assert_eq!(check(&none, "207", &record), (about_the_check, true, false));
    let not_found = Err(Ignored::MayMeanNotFound);
    assert_eq!(check(&none, "404", &[]), (not_found, false, true));
    assert_eq!(check(&none, "401", &[]), (not_found, false, false));
}

#[test]
fn the_published_inquiry_is_never_taken_for_a_purchase() {
    let name = "prepaid-inquiry-response.xml";
    let answer = read(&sample(name), format_of(name));
    assert_eq!(answer.status_code(), StatusCode::read("000"));
    assert!(answer.is_inquiry);
    let field = |name: &str| {
        answer
            .fields
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(field("PLN_NAMAPELANGGAN"), "MELISA");
    assert_eq!(field("ref3"), "320431");
    let said = of_purchase(&answer, &asked(), &CodeLists::default());
    assert_eq!(said.finding, Finding::Unknown(Unknown::AboutInquiry));
    assert_eq!(
        of_check(&answer, &asked(), &CodeLists::default()),
        Err(Ignored::AboutInquiry)
    );
}

/// The signature of the samples' parts; the printed ones are masked.
const SIGNATURE: &str = "329e765e5e7f0732522ffe45e12b3b3a";

#[test]
fn the_purchase_requests_are_the_published_ones_but_for_the_masked_signature() {
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
        let body = request::order(&account(format), &asked());
        assert!(body.content_type().ends_with(if format == Format::Xml {
            "/xml"
        } else {
            "/json"
        }));
        assert_eq!(fields(&body.into_bytes()), published, "{name}");
    }
}

#[tokio::test]
async fn the_check_request_names_the_reference_code_and_only_its_own_trace_code() {
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
            Err(NothingLearnt::NoAnswer(_))
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

#[test]
fn an_answer_about_something_else_proves_nothing() {
    let base = String::from_utf8(sample("seed-status.json")).unwrap();
    let lists = CodeLists::default();
    let about = |text: String| {
        let answer = read(text.as_bytes(), Format::Json);
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
    let others = [
        (
            ("kodeReferensiPartner", "another-reference"),
            Ignored::AboutAnother,
        ),
        (
            ("productCode", "PULSA5"),
            Ignored::Differs(Mismatch::ProductCode),
        ),
        (
            ("081234567890", "081234567891"),
            Ignored::Differs(Mismatch::AccountNumber),
        ),
    ];
    for ((ours, another), ignored) in others {
        let found = about(base.replace(ours, another));
        let unknown = Finding::Unknown(Unknown::AboutAnother);
        assert_eq!(found, (unknown, Err(ignored)), "{another}");
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
        let said = of_check(
            &read(text.as_bytes(), Format::Json),
            &asked(),
            &CodeLists::default(),
        );
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
fn a_torn_answer_is_refused_wherever_it_was_cut() {
    for name in ["prepaid-response.json", "prepaid-response.xml"] {
        let whole = sample(name);
        let last = if format_of(name) == Format::Xml {
            b'>'
        } else {
            b'}'
        };
        let end = whole.iter().rposition(|byte| *byte == last).unwrap();
        for cut in 0..end {
            assert!(
                format_of(name).read(&whole[..cut]).is_err(),
                "{name} cut at {cut}"
            );
        }
        let other = if format_of(name) == Format::Xml {
            Format::Json
        } else {
            Format::Xml
        };
        assert!(other.read(&whole).is_err(), "{name} in the other format");
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
