//! The table of what every status code proves, by what the answer names
//! (`docs/decisions/0003-what-a-check-must-name.md`).

use okebayar_gateway::{
    okebayar::{
        answer::Answer,
        deployment_codes::CodeLists,
        format::Format,
        mismatch::Mismatch,
        verdict::{self, Ignored},
    },
    transaction::{Finding, StatusCode},
};

use crate::support::verdicts::{ACCOUNT_NUMBER, Proves, REFERENCE, about, asked, proves, read};

/// The fields that an answer names.
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
    /// Only an echo of the check: the reference code and the trace code of the POST.
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

/// The classes of codes (docs/OKEBAYAR.md, section 5).
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

/// Returns the table's verdict on the answer to a check; `is_listed` marks the code as "never
/// received".
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
fn check_verdict_of_every_code_follows_table() {
    let asked = asked();
    let about = about(&asked);
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

/// Asserts that an ignored answer shows either a receipt or no sign of the reference code, never
/// both.
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
fn failure_without_record_may_mean_not_found() {
    let asked = asked();
    let about = about(&asked);
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
        // The same answer as another account's OKEBAYAR gives it.
        let heard = verdict::of_unknown(&answer, REFERENCE).unwrap();
        assert!(!heard.shows_record, "{code}");
        assert!(verdict::may_be_unknown(heard.code, &lists), "{code}");
        let heard = verdict::of_unknown(&Record.answer(code, Format::Json), REFERENCE);
        assert!(heard.unwrap().shows_record, "{code}");
    }
    // A success with the reference code alone shows that the code is known, not what it bought.
    let answer = Reference.answer("000", Format::Json);
    let ignored = Ignored::MayMeanTheCheck;
    assert_eq!(verdict::of_check(&answer, about, &lists), Err(ignored));
    let shown = verdict::of_ignored_check(&answer, &lists, ignored);
    assert!(shown.unwrap().shows_receipt());
    assert!(!verdict::shows_no_sign(&answer, &lists, ignored));
}

#[test]
fn trusted_callback_verdict_follows_table() {
    let asked = asked();
    let about = about(&asked);
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
                    // No callback means "never received".
                    (Reference, _) if is_listed => Proves::Nothing(Ignored::MayMeanNotFound),
                    // A callback was sent no trace code that it could echo.
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
