//! Which answers are about the transaction: by inquiry code, trace code, serial number and account
//! number.

use okebayar_gateway::{
    okebayar::{
        account_number::AccountNumberForms,
        deployment_codes::CodeLists,
        format::Format,
        mismatch::Mismatch,
        subject::Subject,
        verdict::{self, Ignored},
    },
    transaction::{
        Amount, AttemptToken, Contents, Details, Finding, InquiriesMade, InquiryCode, SerialNumber,
        Source, Statement, StatusCode, TraceCode, Transaction, UnknownCause,
    },
};

use crate::support::{
    core::{RULES, arming, at, schedule, wish},
    verdicts::{ACCOUNT_NUMBER, Proves, REFERENCE, about, asked, proves, read},
};

/// The answer to a check of a payment has the form of a prepaid purchase, or of the payment's own
/// answer.
#[test]
fn payment_check_with_paid_inquiry_code_is_record() {
    let (mut intent, order) = wish(REFERENCE, "HPDAM");
    intent.contents = Contents::PayPostpaid {
        inquiry_code: InquiryCode::parse("inquiry-1").unwrap(),
        total: None,
    };
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let none = InquiriesMade::default();
    let about = Subject {
        transaction: &begun.transaction,
        inquired: &none,
    };
    let check = |more: &[(&str, &str)]| {
        let base = [("responsecode", "200"), ("referencecode", REFERENCE)];
        let answer = read(&[&base[..], more].concat(), Format::Xml);
        proves(verdict::of_check(&answer, about, &CodeLists::default()))
    };
    let account_number = ("accnumber1", ACCOUNT_NUMBER);
    let not_found = Proves::Nothing(Ignored::MayMeanNotFound);
    assert_eq!(
        check(&[account_number, ("inquirycode", "inquiry-1")]),
        Proves::Failure
    );
    assert_eq!(
        check(&[account_number, ("productcode", "HPDAM")]),
        Proves::Failure
    );
    assert_eq!(check(&[account_number]), not_found);
    assert_eq!(check(&[("inquirycode", "inquiry-1")]), not_found);
    let another = Proves::Nothing(Ignored::Differs(Mismatch::InquiryCode));
    assert_eq!(
        check(&[account_number, ("inquirycode", "inquiry-2")]),
        another
    );
}

#[test]
fn inquiry_under_same_reference_code_does_not_prove_purchase() {
    let asked = asked();
    let inquiry_details = Details {
        serial_number: SerialNumber::read("1122-3344"),
        trace_code: TraceCode::parse("own").ok(),
        price: Amount::parse("10500").ok(),
        extra: [("PLN_TOKENUNSOLD1".into(), "5566".into())]
            .into_iter()
            .collect(),
        ..Details::default()
    };
    let mut answered = InquiriesMade::default();
    answered.note("one");
    answered.note_answer("one", StatusCode::read("000").unwrap(), &inquiry_details);
    let mut unanswered = InquiriesMade::default();
    unanswered.note("one");
    let verdicts_on = |inquired: &InquiriesMade, code: &str, more: &[(&str, &str)]| {
        let base = [
            ("transactionstatus", code),
            ("referencecode", REFERENCE),
            ("productcode", "productCode"),
            ("accnumber", ACCOUNT_NUMBER),
        ];
        let answer = read(&[&base[..], more].concat(), Format::Json);
        let about = Subject {
            transaction: &asked,
            inquired,
        };
        let lists = CodeLists::default();
        let by_check = proves(verdict::of_check(&answer, about, &lists));
        let by_callback = proves(verdict::of_trusted_callback(&answer, about, &lists));
        [by_check, by_callback]
    };
    let check = |inquired: &InquiriesMade, code: &str, more: &[(&str, &str)]| {
        let [by_check, by_callback] = verdicts_on(inquired, code, more);
        assert_eq!(by_check, by_callback, "{more:?}");
        by_check
    };
    let doubted = Proves::Nothing(Ignored::MayBeInquiry);
    let inquirys: [&[(&str, &str)]; 8] = [
        &[],
        &[("serialnumber", "11223344")],
        &[("serialnumber", "5566")],
        &[("serialnumber", "-")],
        &[("serialnumber", "N/A"), ("harga", "0")],
        &[("tracecode", "own")],
        &[("harga", "10500.00")],
        &[
            ("serialnumber", "1122 3344"),
            ("tracecode", "OWN"),
            ("harga", "10500"),
        ],
    ];
    for more in inquirys {
        assert_eq!(check(&answered, "000", more), doubted, "{more:?}");
    }
    for more in [("serialnumber", "99887766"), ("harga", "10600")] {
        assert_eq!(
            check(&answered, "000", &[more]),
            Proves::Success,
            "{more:?}"
        );
    }
    // A purchase at its price with the inquiry's serial number: its own serial number is still
    // awaited.
    let fields = [
        ("status", "000"),
        ("referencecode", REFERENCE),
        ("serialnumber", "1122-3344"),
        ("harga", "10600"),
    ];
    let about = Subject {
        transaction: &asked,
        inquired: &answered,
    };
    let said = verdict::of_check(&read(&fields, Format::Json), about, &CodeLists::default());
    let said = said.unwrap();
    assert_eq!(said.finding, Finding::Succeeded);
    assert_eq!(said.details.serial_number, None);
    // The inquiry was answered 000, not 200, so a record with 200 is the purchase's.
    assert_eq!(check(&answered, "200", &[]), Proves::Failure);
    // The inquiry's answer is unknown: any serial number may be the inquiry's. Only purchases have
    // a price, and each request has a trace code of its own.
    assert_eq!(
        check(&unanswered, "000", &[("serialnumber", "99887766")]),
        doubted
    );
    assert_eq!(check(&unanswered, "200", &[]), doubted);
    assert_eq!(
        check(&unanswered, "000", &[("harga", "10500")]),
        Proves::Success
    );
    // A check may echo the POST's own trace code, whatever it found. A callback cannot echo it.
    let own = ("tracecode", "own");
    for (code, by_callback) in [("000", Proves::Success), ("200", Proves::Failure)] {
        assert_eq!(
            verdicts_on(&unanswered, code, &[own]),
            [doubted, by_callback],
            "{code}"
        );
    }
}

/// The serial number repeats a field of the check's request, possibly in another form.
#[test]
fn serial_number_that_echoes_request_proves_nothing() {
    let (intent, order) = wish("abcd-1234-EFGH", "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let own = Details {
        trace_code: TraceCode::parse("own-1").ok(),
        ..Details::default()
    };
    let pending = Statement::new(Source::Answer, Finding::Pending, None, own);
    let asked = begun.transaction.observe([pending], at(1), &schedule());
    let asked = asked.unwrap().transaction;
    let check = |reference: &str, serial_number: &str| {
        let fields = [
            ("status", "000"),
            ("referencecode", reference),
            ("serialnumber", serial_number),
        ];
        let about = about(&asked);
        let answer = read(&fields, Format::Json);
        proves(verdict::of_check(&answer, about, &CodeLists::default()))
    };
    let nothing = Proves::Nothing(Ignored::MayMeanTheCheck);
    for echo in ["abcd-1234-EFGH", "ABCD1234EFGH", "own-1", "OWN1", "-"] {
        assert_eq!(check("abcd-1234-EFGH", echo), nothing, "{echo}");
    }
    // OKEBAYAR may omit the hyphens of the reference code.
    for ours in ["abcd-1234-EFGH", "ABCD1234EFGH", "abcd1234-efgh"] {
        assert_eq!(check(ours, "99887766"), Proves::Success, "{ours}");
    }
    let another = Proves::Nothing(Ignored::AboutAnother);
    for other in ["abcd-1234-EFG", "abcd1234efgh1", "-"] {
        assert_eq!(check(other, "99887766"), another, "{other}");
    }
}

/// A forged callback gives a settled transaction its trace code.
#[test]
fn trace_code_of_callback_is_not_trace_code_of_post() {
    let (intent, order) = wish(REFERENCE, "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let forged = Details {
        trace_code: TraceCode::parse("forged").ok(),
        ..Details::default()
    };
    let code = StatusCode::read("000");
    let reported = Statement::new(Source::Callback, Finding::Reported, code, forged);
    let found = Statement::new(Source::Check, Finding::Succeeded, code, Details::default());
    let observed = begun
        .transaction
        .observe([reported, found], at(1), &schedule());
    let asked = observed.unwrap().transaction;
    assert_eq!(asked.status().trace_code, TraceCode::parse("forged").ok());
    let fields = [
        ("status", "200"),
        ("referencecode", REFERENCE),
        ("tracecode", "forged"),
    ];
    let about = about(&asked);
    let answer = read(&fields, Format::Json);
    let said = verdict::of_trusted_callback(&answer, about, &CodeLists::default());
    assert_eq!(proves(said), Proves::Nothing(Ignored::MayMeanNotFound));
}

#[test]
fn own_answer_requires_reference_code_or_trace_code() {
    let asked = asked();
    let lists = CodeLists {
        failed: StatusCode::read("299").into_iter().collect(),
        ..CodeLists::default()
    };
    let unclear = Finding::Unknown(UnknownCause::Inconclusive);
    for format in [Format::Json, Format::Xml] {
        for number in 0..1000_u16 {
            let code = format!("{number:03}");
            let said = |more: &[(&str, &str)]| {
                let base = [("status", code.as_str())];
                let answer = read(&[&base[..], more].concat(), format);
                verdict::of_purchase(&answer, &asked, &lists)
            };
            let (bare, signed) = (said(&[]), said(&[("referencecode", REFERENCE)]));
            // None of these identifies the transaction; neither does a serial number or a price.
            for more in [
                &[("tracecode", "-"), ("serialnumber", "123"), ("harga", "5")][..],
                &[("tracecode", "0"), ("referencecode", "")][..],
                &[
                    ("productcode", "productCode"),
                    ("accnumber", ACCOUNT_NUMBER),
                ][..],
            ] {
                assert_eq!(said(more).finding, bare.finding, "{code} {more:?}");
            }
            assert_eq!(
                said(&[("tracecode", "t")]).finding,
                signed.finding,
                "{code}"
            );
            let is_outcome = matches!(signed.finding, Finding::Succeeded | Finding::Failed(_));
            let is_credentials = matches!(number, 207 | 211..=213);
            if is_outcome && !is_credentials {
                assert_eq!(bare.finding, unclear, "{code}");
                assert!(!bare.shows_receipt(), "{code}");
            } else {
                assert_eq!(bare.finding, signed.finding, "{code}");
            }
        }
    }
}

#[test]
fn reformatted_number_matches_only_when_configured() {
    let asked = asked();
    let about = about(&asked);
    let exact = CodeLists::default();
    let msisdn = CodeLists {
        account_numbers: AccountNumberForms::Msisdn,
        ..CodeLists::default()
    };
    for named in ["6281234567890", "+62 812-3456-7890"] {
        let fields = [
            ("transactionstatus", "200"),
            ("referencecode", REFERENCE),
            ("productcode", "productCode"),
            ("accnumber", named),
            ("tracecode", "t-1"),
            ("serialnumber", "99887766"),
            ("harga", "10500"),
        ];
        let answer = read(&fields, Format::Json);
        let own = verdict::of_purchase(&answer, &asked, &msisdn);
        assert!(matches!(own.finding, Finding::Failed(_)), "{named}");
        assert!(
            verdict::of_check(&answer, about, &msisdn).is_ok(),
            "{named}"
        );
        let own = verdict::of_purchase(&answer, &asked, &exact);
        let check = verdict::of_check(&answer, about, &exact);
        let differs = Ignored::Differs(Mismatch::AccountNumber);
        assert_eq!(check, Err(differs));
        let kept = verdict::of_ignored_check(&answer, &exact, differs).unwrap();
        for kept in [own, kept] {
            assert_eq!(kept.finding, Finding::Unknown(UnknownCause::AboutAnother));
            assert!(!kept.believed() && kept.shows_receipt());
            assert_eq!(kept.code, StatusCode::read("200"));
            assert!(kept.details.price.is_some());
            // Neither may be attributed to the transaction.
            assert_eq!(
                (kept.details.trace_code, kept.details.serial_number),
                (None, None)
            );
            let texts: Vec<_> = kept.details.extra.iter().collect();
            assert_eq!(texts[0], ("accnumber", "****7890"));
        }
    }
}
