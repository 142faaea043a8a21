//! Checks of a reference code that was used for an inquiry as well.

use okebayar_gateway::{
    okebayar::{
        deployment_codes::CodeLists,
        subject::Subject,
        verdict::{self, Ignored},
    },
    transaction::{
        Details, Finding, InquiriesMade, Source, Statement, StatusCode, TraceCode, UnknownCause,
    },
};

use crate::support::{
    core::{at, schedule},
    samples::{answer, asked, note},
};

#[test]
fn check_result_is_ignored_when_inquiry_may_explain_it() {
    let base = [
        ("referencecode", "kodeReferensiPartner"),
        ("productcode", "productCode"),
        ("accnumber", "081234567890"),
        ("harga", "0"),
    ];
    let own = Statement::new(
        Source::Answer,
        Finding::Unknown(UnknownCause::Inconclusive),
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
        let answer = answer(&[&base[..], more].concat());
        let asked = Subject {
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
    // The check sent the POST's own trace code, so the answer may be an echo.
    for trace_code in ["own", "another"] {
        let echoed = ("tracecode", trace_code);
        assert_eq!(check(&made, &[success, echoed]), doubted, "{trace_code}");
        assert_eq!(check(&made, &[failure, echoed]), doubted, "{trace_code}");
    }
    // An inquiry was answered 204 as well; none was answered 203.
    assert_eq!(check(&made, &[failure]), doubted);
    let exhausted = ("transactionstatus", "203");
    assert!(matches!(check(&made, &[exhausted]), Ok(Finding::Failed(_))));
    made.note("three");
    assert_eq!(
        check(&made, &[exhausted]),
        doubted,
        "the answer of one inquiry is unknown"
    );
}

#[test]
fn never_received_is_believed_only_without_record_and_inquiry() {
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
        let answer = answer(&[&base[..], more].concat());
        let asked = Subject {
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
    // A possible loss of notes about inquiries makes every code ambiguous.
    made.note_forgotten();
    assert_eq!(check(&made, "400", &[]), believed);
    let may_be_inquiry = Err(Ignored::MayBeInquiry);
    assert_eq!(check(&made, "002", &[]), (may_be_inquiry, true, false));
    // OKEBAYAR may answer any failure for an unknown reference code.
    assert_eq!(check(&made, "204", &[]), (may_be_inquiry, false, true));
    assert_eq!(check(&made, "204", &record), (may_be_inquiry, true, false));
    note(&mut made, "two", "400");
    assert_eq!(check(&made, "400", &[]), (may_be_inquiry, false, true));
    let itself = Err(Ignored::ContradictsItself);
    assert_eq!(check(&none, "400", &record), (itself, true, false));
    // 207 is about the check itself, but a record is evidence; 401 may mean that this payment
    // succeeded.
    let about_the_check = Err(Ignored::AboutTheCheck);
    assert_eq!(check(&none, "207", &[]), (about_the_check, false, false));
    assert_eq!(check(&none, "207", &record), (about_the_check, true, false));
    let not_found = Err(Ignored::MayMeanNotFound);
    assert_eq!(check(&none, "404", &[]), (not_found, false, true));
    assert_eq!(check(&none, "401", &[]), (not_found, false, false));
}
