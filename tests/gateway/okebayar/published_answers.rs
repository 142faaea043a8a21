//! OKEBAYAR's published answers, and what the gateway reads in them.

use jiff::Timestamp;
use okebayar_gateway::{
    okebayar::{
        deployment_codes::CodeLists,
        format::Format,
        mismatch::Mismatch,
        verdict::{Ignored, of_purchase},
    },
    transaction::{Amount, Finding, SerialNumber, Source, StatusCode, UnknownCause},
};

use crate::support::samples::{answer, asked, format_of, of_check, payment, read, sample};

#[test]
fn published_answers_are_read_in_full() {
    // (sample, price, balance, its time is readable)
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
        // The samples' literal YYMMddHHmmssSSS is kept as unread and affects nothing else.
        assert_eq!(details.unread.len(), usize::from(!has_time), "{name}");
        assert!(!answer.is_inquiry);
        let said = of_purchase(&answer, &asked(), &CodeLists::default());
        assert_eq!(said.finding, Finding::Succeeded);
    }
}

#[test]
fn payment_answer_about_inquiry_or_another_bill_proves_nothing() {
    let about = |fields: &[(&str, &str)]| {
        of_purchase(&answer(fields), &payment(), &CodeLists::default()).finding
    };
    let reference = ("referencecode", "kodeReferensiPartner");
    let own = [
        reference,
        ("responsecode", "000"),
        ("inquirycode", "inquiry-1"),
    ];
    assert_eq!(about(&own), Finding::Succeeded);
    let cases = [
        (
            ("inquiryexpired", "200325200912"),
            UnknownCause::AboutInquiry,
        ),
        (("INQUIRYEXPIRED", ""), UnknownCause::AboutInquiry),
        (("accnumber1", "0813"), UnknownCause::AboutAnother),
        (("productcode", "HPDAM"), UnknownCause::AboutAnother),
    ];
    for (field, unknown) in cases {
        let fields = [&own[..], &[field]].concat();
        assert_eq!(about(&fields), Finding::Unknown(unknown), "{field:?}");
    }
    let other = [("responsecode", "000"), ("inquirycode", "inquiry-2")];
    assert_eq!(about(&other), Finding::Unknown(UnknownCause::AboutAnother));
}

#[test]
fn published_inquiry_answer_is_not_read_as_purchase() {
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
    assert_eq!(said.finding, Finding::Unknown(UnknownCause::AboutInquiry));
    assert_eq!(
        of_check(&answer, &asked(), &CodeLists::default()),
        Err(Ignored::AboutInquiry)
    );
}

#[test]
fn answer_about_another_transaction_proves_nothing() {
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
        let unknown = Finding::Unknown(UnknownCause::AboutAnother);
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
            Finding::Unknown(UnknownCause::AboutInquiry),
            Err(Ignored::AboutInquiry)
        )
    );
}

#[test]
fn check_status_code_is_conclusive_or_ignored() {
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
fn truncated_answer_is_rejected() {
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
