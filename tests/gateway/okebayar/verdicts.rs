//! What every status code proves in a check and in a trusted callback, by what the answer names
//! (`docs/decisions/0003-what-a-check-must-name.md`).

use std::sync::Arc;

use jiff::tz::TimeZone;
use okebayar_gateway::{
    grpc::v1::{CheckTransactionRequest, Reason, State, WaitUntil},
    okebayar::{
        answer::{Answer, Reading, interpret_for},
        format::Format,
        redact::Secrets,
        subject::{AccountNumberForms, Mismatch},
        verdict::{self, Asked, CodeLists, Ignored},
    },
    sandbox::scenario::NOT_RECEIVED_PREFIX,
    transaction::{
        Amount, AttemptToken, Contents, Details, Finding, InquiriesMade, InquiryCode, SerialNumber,
        Source, Statement, StatusCode, TraceCode, Transaction, Unknown,
    },
};

use crate::queries::inquiry_service::FORMATS;
use crate::support::{
    core::{RULES, arming, at, schedule, wish},
    on_both_stores,
    world::{PLAIN, StoreKind, World, assert_succeeded, buy, order, prepaid_question, reference},
};

const REFERENCE: &str = "kodeReferensiPartner";
const ACCOUNT_NUMBER: &str = "081234567890";

/// A transaction whose POST was answered with a trace code, and nothing that settles it.
fn asked() -> Arc<Transaction> {
    let (intent, order) = wish(REFERENCE, "productCode");
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let pending = Statement::new(
        Source::Answer,
        Finding::Pending,
        StatusCode::read("002"),
        Details {
            trace_code: TraceCode::parse("own").ok(),
            ..Details::default()
        },
    );
    let observed = begun.transaction.observe([pending], at(1), &schedule());
    observed.unwrap().transaction
}

/// Reads an answer as it comes over the wire in a format.
fn read(fields: &[(&str, &str)], format: Format) -> Answer {
    let body = String::from_utf8(format.write(fields, &[])).unwrap();
    let body = body.replace("transaction>", "transaction-status>");
    let reading = Reading {
        zone: &TimeZone::UTC,
        secrets: &Secrets::default(),
        member: Some("userId"),
    };
    interpret_for(format.read(body.as_bytes()).unwrap(), &reading).unwrap()
}

/// What an answer names.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// OKEBAYAR's record, as documented.
    Record,
    /// The record, under the trace code of the POST.
    OwnRecord,
    /// The account number and a price.
    Price,
    /// Only the reference code.
    Reference,
    /// Only what the check told: the reference code and the trace code of the POST.
    Echo,
    AnotherProduct,
    AnotherAccount,
    AnotherProductAndAccount,
    AnotherReference,
    AnotherMember,
    NoReference,
    Inquiry,
}
use Names::{
    AnotherAccount, AnotherMember, AnotherProduct, AnotherProductAndAccount, AnotherReference,
    Echo, Inquiry, NoReference, OwnRecord, Price, Record, Reference,
};

const NAMES: [Names; 12] = [
    Record,
    OwnRecord,
    Price,
    Reference,
    Echo,
    AnotherProduct,
    AnotherAccount,
    AnotherProductAndAccount,
    AnotherReference,
    AnotherMember,
    NoReference,
    Inquiry,
];

impl Names {
    fn answer(self, code: &str, format: Format) -> Answer {
        let mut fields = vec![
            ("transactionstatus", code),
            ("tracecode", "of-the-check"),
            ("referencecode", REFERENCE),
            ("productcode", "productCode"),
            ("accnumber", ACCOUNT_NUMBER),
            ("userid", "userId"),
        ];
        let set: &[(&str, &str)] = match self {
            Record => &[],
            OwnRecord => &[("tracecode", "own")],
            Price => &[("productcode", ""), ("harga", "10500")],
            Reference => &[("productcode", ""), ("accnumber", "")],
            Echo => &[("productcode", ""), ("accnumber", ""), ("tracecode", "own")],
            AnotherProduct => &[("productcode", "PULSA5")],
            AnotherAccount => &[("accnumber", "081234567891")],
            AnotherProductAndAccount => &[("productcode", "PULSA5"), ("accnumber", "0812")],
            AnotherReference => &[("referencecode", "another-reference")],
            AnotherMember => &[("userid", "somebody")],
            NoReference => &[("referencecode", "")],
            Inquiry => &[("inquiryexpired", "200325200912")],
        };
        for (name, text) in set {
            fields.retain(|(known, _)| known != name);
            fields.push((name, text));
        }
        read(&fields, format)
    }
}

/// The classes of codes (API page, section 5).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Success,
    Pending,
    Failure,
    Refused,
    Doubtful,
    AboutTheCheck,
    Inconclusive,
}

fn class_of(code: u16) -> Class {
    match code {
        0 | 1 => Class::Success,
        2..=199 => Class::Pending,
        200 | 203..=205 | 210 | 215 | 232..=234 | 500 => Class::Failure,
        206 | 207 | 211..=214 => Class::AboutTheCheck,
        208 | 216 | 217 | 241 | 260 | 261 | 270 | 510 => Class::Inconclusive,
        400..=405 => Class::Refused,
        _ => Class::Doubtful,
    }
}

/// What an answer proves, in a word.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Proves {
    Success,
    Pending,
    Failure,
    Doubt,
    NeverReceived,
    Nothing(Ignored),
}

fn proves(said: Result<Statement, Ignored>) -> Proves {
    match said {
        Err(ignored) => Proves::Nothing(ignored),
        Ok(said) => match said.finding {
            Finding::Succeeded => Proves::Success,
            Finding::Pending => Proves::Pending,
            Finding::Failed(_) => Proves::Failure,
            Finding::Doubtful(_) => Proves::Doubt,
            Finding::NotReceived => Proves::NeverReceived,
            other => panic!("{other:?}"),
        },
    }
}

/// The table: what a check's answer proves; `is_listed` is the code "never received".
fn expected(names: Names, code: u16, is_listed: bool) -> Proves {
    let class = class_of(code);
    let nothing = Proves::Nothing;
    let has_record = matches!(names, Record | OwnRecord | Price);
    match names {
        AnotherMember => return nothing(Ignored::AboutAnotherMember),
        Inquiry => return nothing(Ignored::AboutInquiry),
        AnotherReference | NoReference | AnotherProductAndAccount => {
            return nothing(Ignored::AboutAnother);
        }
        AnotherProduct => return nothing(Ignored::Differs(Mismatch::ProductCode)),
        AnotherAccount => return nothing(Ignored::Differs(Mismatch::AccountNumber)),
        _ if is_listed && names == Reference => return Proves::NeverReceived,
        _ if is_listed => return nothing(Ignored::ContradictsItself),
        _ => {}
    }
    match class {
        Class::Success if has_record => Proves::Success,
        Class::Success => nothing(Ignored::MayMeanTheCheck),
        Class::Pending => Proves::Pending,
        Class::Failure if has_record => Proves::Failure,
        Class::Refused if names == OwnRecord && code != 401 => Proves::Failure,
        Class::Failure | Class::Refused => nothing(Ignored::MayMeanNotFound),
        Class::Doubtful if has_record => Proves::Doubt,
        Class::Doubtful | Class::AboutTheCheck | Class::Inconclusive => {
            nothing(Ignored::AboutTheCheck)
        }
    }
}

#[test]
fn every_code_proves_in_a_check_what_the_table_says() {
    let asked = asked();
    let none = InquiriesMade::default();
    let about = Asked {
        transaction: &asked,
        inquired: &none,
    };
    for format in [Format::Json, Format::Xml] {
        for number in 0..1000_u16 {
            let code = format!("{number:03}");
            for is_listed in [false, true] {
                let not_received = StatusCode::read(&code).filter(|_| is_listed);
                let lists = CodeLists {
                    not_received: not_received.into_iter().collect(),
                    ..CodeLists::default()
                };
                for names in NAMES {
                    let answer = names.answer(&code, format);
                    let found = proves(verdict::of_check(&answer, about, &lists));
                    let wanted = expected(names, number, is_listed);
                    let case = format!("{code} {names:?} listed {is_listed} {format:?}");
                    assert_eq!(found, wanted, "{case}");
                    if let Proves::Nothing(ignored) = found {
                        verify_sign(&answer, &lists, ignored, &case);
                    }
                }
            }
        }
    }
}

/// What is ignored may still show that OKEBAYAR has the reference code, or may have no sign of
/// it; never both.
fn verify_sign(answer: &Answer, lists: &CodeLists, ignored: Ignored, case: &str) {
    let shown = verdict::of_ignored_check(answer, lists, ignored);
    let no_sign = verdict::shows_no_sign(answer, lists, ignored);
    assert!(!(shown.is_some() && no_sign), "{case}");
    if let Some(shown) = shown {
        assert!(shown.shows_receipt(), "{case}");
        assert!(matches!(shown.finding, Finding::Unknown(_)), "{case}");
    }
    if no_sign {
        assert_eq!(ignored, Ignored::MayMeanNotFound, "{case}");
    }
}

#[test]
fn a_failure_without_a_record_may_be_that_nothing_was_found() {
    let asked = asked();
    let none = InquiriesMade::default();
    let about = Asked {
        transaction: &asked,
        inquired: &none,
    };
    let lists = CodeLists {
        failed: StatusCode::read("299").into_iter().collect(),
        ..CodeLists::default()
    };
    let codes = [
        "200", "203", "204", "205", "210", "215", "232", "233", "234", "299", "400", "402", "403",
        "404", "405", "500",
    ];
    for code in codes {
        let answer = Reference.answer(code, Format::Json);
        let ignored = Ignored::MayMeanNotFound;
        let said = verdict::of_check(&answer, about, &lists);
        assert_eq!(said, Err(ignored), "{code}");
        let shown = verdict::of_ignored_check(&answer, &lists, ignored);
        assert_eq!(shown, None, "{code}");
        assert!(verdict::shows_no_sign(&answer, &lists, ignored), "{code}");
        // What another account's OKEBAYAR says of it.
        let heard = verdict::of_unknown(&answer, REFERENCE).unwrap();
        assert!(!heard.shows_record, "{code}");
        assert!(verdict::may_be_unknown(heard.code, &lists), "{code}");
        let heard = verdict::of_unknown(&Record.answer(code, Format::Json), REFERENCE);
        assert!(heard.unwrap().shows_record, "{code}");
    }
    // A success on the reference code alone shows that it is known, and not what of.
    let answer = Reference.answer("000", Format::Json);
    let ignored = Ignored::MayMeanTheCheck;
    assert_eq!(verdict::of_check(&answer, about, &lists), Err(ignored));
    let shown = verdict::of_ignored_check(&answer, &lists, ignored);
    assert!(shown.unwrap().shows_receipt());
    assert!(!verdict::shows_no_sign(&answer, &lists, ignored));
}

#[test]
fn a_trusted_callback_proves_by_the_same_rule_and_echoes_nothing() {
    let asked = asked();
    let none = InquiriesMade::default();
    let about = Asked {
        transaction: &asked,
        inquired: &none,
    };
    for number in 0..1000_u16 {
        let code = format!("{number:03}");
        for is_listed in [false, true] {
            let not_received = StatusCode::read(&code).filter(|_| is_listed);
            let lists = CodeLists {
                not_received: not_received.into_iter().collect(),
                ..CodeLists::default()
            };
            for names in NAMES {
                let answer = names.answer(&code, Format::Json);
                let found = proves(verdict::of_trusted_callback(&answer, about, &lists));
                let class = class_of(number);
                let wanted = match (names, class) {
                    // No callback says "never received".
                    (Reference, _) if is_listed => Proves::Nothing(Ignored::MayMeanNotFound),
                    // It was told no trace code that it could return.
                    (Echo, Class::Success | Class::Failure | Class::Refused | Class::Doubtful)
                        if !is_listed =>
                    {
                        expected(OwnRecord, number, false)
                    }
                    _ => expected(names, number, is_listed),
                };
                assert_eq!(found, wanted, "{code} {names:?} listed {is_listed}");
            }
        }
    }
}

/// What a check of a payment shows: as of a prepaid purchase, or as the payment's own answer.
#[test]
fn a_check_of_a_payment_is_a_record_with_the_inquiry_that_was_paid() {
    let (mut intent, order) = wish(REFERENCE, "HPDAM");
    intent.contents = Contents::PayPostpaid {
        inquiry_code: InquiryCode::parse("inquiry-1").unwrap(),
        total: None,
    };
    let token = AttemptToken::new(uuid::Uuid::from_u128(1));
    let begun = Transaction::begin(intent, order, arming(token, 0), RULES, &schedule());
    let none = InquiriesMade::default();
    let about = Asked {
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
fn an_inquiry_under_the_same_reference_code_proves_nothing_of_the_purchase() {
    let asked = asked();
    let told = Details {
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
    answered.note_answer("one", StatusCode::read("000").unwrap(), &told);
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
        let about = Asked {
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
    // A purchase for its price, with the inquiry's serial number: its own is still awaited.
    let fields = [
        ("status", "000"),
        ("referencecode", REFERENCE),
        ("serialnumber", "1122-3344"),
        ("harga", "10600"),
    ];
    let about = Asked {
        transaction: &asked,
        inquired: &answered,
    };
    let said = verdict::of_check(&read(&fields, Format::Json), about, &CodeLists::default());
    let said = said.unwrap();
    assert_eq!(said.finding, Finding::Succeeded);
    assert_eq!(said.details.serial_number, None);
    // 000 was the inquiry's; 200 was not, so a record with it is the purchase's.
    assert_eq!(check(&answered, "200", &[]), Proves::Failure);
    // The answer to the inquiry is not known: any serial number may be its own. A price is
    // printed for purchases only, and each hit has a trace code of its own.
    assert_eq!(
        check(&unanswered, "000", &[("serialnumber", "99887766")]),
        doubted
    );
    assert_eq!(check(&unanswered, "200", &[]), doubted);
    assert_eq!(
        check(&unanswered, "000", &[("harga", "10500")]),
        Proves::Success
    );
    // A check may echo the POST's own trace code, whatever it found. A callback was told nothing.
    let own = ("tracecode", "own");
    for (code, by_callback) in [("000", Proves::Success), ("200", Proves::Failure)] {
        assert_eq!(
            verdicts_on(&unanswered, code, &[own]),
            [doubted, by_callback],
            "{code}"
        );
    }
}

/// What a check told, in the place of a serial number or in another form.
#[test]
fn a_serial_number_that_only_returns_what_was_told_proves_nothing() {
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
        let about = Asked {
            transaction: &asked,
            inquired: &InquiriesMade::default(),
        };
        let answer = read(&fields, Format::Json);
        proves(verdict::of_check(&answer, about, &CodeLists::default()))
    };
    let nothing = Proves::Nothing(Ignored::MayMeanTheCheck);
    for echo in ["abcd-1234-EFGH", "ABCD1234EFGH", "own-1", "OWN1", "-"] {
        assert_eq!(check("abcd-1234-EFGH", echo), nothing, "{echo}");
    }
    // OKEBAYAR may leave out the hyphens of our reference code.
    for ours in ["abcd-1234-EFGH", "ABCD1234EFGH", "abcd1234-efgh"] {
        assert_eq!(check(ours, "99887766"), Proves::Success, "{ours}");
    }
    let another = Proves::Nothing(Ignored::AboutAnother);
    for other in ["abcd-1234-EFG", "abcd1234efgh1", "-"] {
        assert_eq!(check(other, "99887766"), another, "{other}");
    }
}

/// A callback that anybody may have sent gives a settled transaction its trace code.
#[test]
fn the_trace_code_of_a_callback_is_not_that_of_the_post() {
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
    assert_eq!(asked.standing().trace_code, TraceCode::parse("forged").ok());
    let fields = [
        ("status", "200"),
        ("referencecode", REFERENCE),
        ("tracecode", "forged"),
    ];
    let about = Asked {
        transaction: &asked,
        inquired: &InquiriesMade::default(),
    };
    let answer = read(&fields, Format::Json);
    let said = verdict::of_trusted_callback(&answer, about, &CodeLists::default());
    assert_eq!(proves(said), Proves::Nothing(Ignored::MayMeanNotFound));
}

#[test]
fn an_own_answer_counts_with_our_reference_code_or_a_trace_code() {
    let asked = asked();
    let lists = CodeLists {
        failed: StatusCode::read("299").into_iter().collect(),
        ..CodeLists::default()
    };
    let unclear = Finding::Unknown(Unknown::Inconclusive);
    for format in [Format::Json, Format::Xml] {
        for number in 0..1000_u16 {
            let code = format!("{number:03}");
            let said = |more: &[(&str, &str)]| {
                let base = [("status", code.as_str())];
                let answer = read(&[&base[..], more].concat(), format);
                verdict::of_purchase(&answer, &asked, &lists)
            };
            let (bare, signed) = (said(&[]), said(&[("referencecode", REFERENCE)]));
            // Neither is a name, and a serial number or price is not one either.
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
fn an_answer_in_another_form_of_our_number_is_about_us_where_the_account_says_so() {
    let asked = asked();
    let none = InquiriesMade::default();
    let about = Asked {
        transaction: &asked,
        inquired: &none,
    };
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
            assert_eq!(kept.finding, Finding::Unknown(Unknown::AboutAnother));
            assert!(!kept.believed() && kept.shows_receipt());
            assert_eq!(kept.code, StatusCode::read("200"));
            assert!(kept.details.price.is_some());
            // Neither may become ours.
            assert_eq!(
                (kept.details.trace_code, kept.details.serial_number),
                (None, None)
            );
            let texts: Vec<_> = kept.details.extra.iter().collect();
            assert_eq!(texts[0], ("accnumber", "****7890"));
        }
    }
}

/// An electricity token that was inquired under the reference code of its purchase, whose POST
/// is lost: a check finds the inquiry, and what that told.
async fn a_lost_purchase_is_not_bought_by_what_its_inquiry_told(kind: StoreKind) {
    for format in FORMATS {
        let mut world = World::new(kind).await;
        world
            .set("accounts.main.format", format)
            .set("accounts.main.timeout", "1500ms")
            .set("checks.give_up_after", "4s");
        let gateway = world.start_gateway().await;
        // What the inquiry prints, and what a check prints later.
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
            // Never received; the sandbox has the inquiry, so a check is answered with that.
            let meter = format!("{NOT_RECEIVED_PREFIX}{number}");
            let code = reference();
            world.misprint(&meter, inquiry).await;
            let asked = prepaid_question(&code, "HPLNPRA20", &meter);
            let told = gateway.inquirer().await.inquire_prepaid(asked).await;
            let told = told.unwrap().into_inner().inquiry.unwrap();
            world.misprint(&meter, check).await;
            let mut request = order(&code, &meter);
            request.product_code = "HPLNPRA20".into();
            request.inquiry_code = told.inquiry_code;
            request.set_wait_until(WaitUntil::Final);
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
            let review = (State::NeedsReview, Reason::ChecksExhausted);
            assert_eq!(found, review, "{case:?} {format}");
            assert_eq!(ended.serial_number, "", "{case:?} {format}");
        }
    }
}

#[tokio::test]
async fn a_placeholder_is_no_serial_number_and_the_real_one_is_awaited() {
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
            assert_eq!(bought.state(), State::Succeeded, "{printed}");
            assert!(bought.serial_number_pending && !bought.r#final, "{printed}");
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

on_both_stores!(a_lost_purchase_is_not_bought_by_what_its_inquiry_told);
