//! The codes that a deployment configures: the wire names of operations, and the lists of status
//! codes whose meaning OKEBAYAR does not document.

use std::collections::BTreeSet;

use super::reader::Reader;
use crate::{
    okebayar::account::TransactionCodes,
    transaction::{AsNotReceived, StatusCode},
};

/// Reads the wire names of the operations; `key` is the prefix of the six keys.
pub(super) fn read_transaction_codes(reader: &mut Reader, key: &str) -> Option<TransactionCodes> {
    let mut code = |leaf, default| reader.word_or(&format!("{key}_{leaf}"), default);
    let prepaid = code("prepaid", "OkeBayar-prabayar");
    let inquiry = code("inquiry", "OkeBayar-inquiry");
    let payment = code("payment", "OkeBayar-inquiry");
    let check = code("check", "OkeBayar-cek-status");
    let balance = code("balance", "OkeBayar-cek-balance");
    let echo = code("echo", "OkeBayar-echo");
    let codes = TransactionCodes {
        prepaid: prepaid?,
        inquiry: inquiry?,
        payment: payment?,
        check: check?,
        balance: balance?,
        echo: echo?,
    };
    verify_questions(reader, key, &codes);
    Some(codes)
}

/// Rejects a question under the code of a purchase: OKEBAYAR may execute it as one, and checks are
/// repeated. A payment and its inquiry may share a code, as documented (docs/OKEBAYAR.md, section
/// 3.1).
fn verify_questions(reader: &mut Reader, key: &str, codes: &TransactionCodes) {
    let (prepaid, payment) = (&codes.prepaid, &codes.payment);
    for (leaf, code, others) in [
        ("check", &codes.check, &[prepaid, payment][..]),
        ("balance", &codes.balance, &[prepaid, payment]),
        ("echo", &codes.echo, &[prepaid, payment]),
        ("inquiry", &codes.inquiry, &[prepaid]),
    ] {
        if others.iter().any(|other| other.eq_ignore_ascii_case(code)) {
            let problem = "it is the code of a purchase or payment: a question could buy";
            let remedy = "give the code that OKEBAYAR has for the question";
            reader.fault(&format!("{key}_{leaf}"), problem, remedy);
        }
    }
}

/// Reads the codes that mean "never received" in the answer to a check.
pub(super) fn read_not_received_codes(
    reader: &mut Reader,
    key: &str,
) -> Option<BTreeSet<StatusCode>> {
    let codes = reader.codes(key)?;
    for code in codes
        .iter()
        .filter(|code| code.entry().not_received == AsNotReceived::Rejected)
    {
        let problem = format!(
            "{code} does not say that OKEBAYAR never received it: {}",
            code.meaning()
        );
        let remedy = "list only the code that OKEBAYAR gives for a reference code that it never \
                      received, as its customer service confirms";
        reader.fault(key, problem, remedy);
    }
    Some(codes)
}

/// Reads the undocumented final codes that prove a failure.
pub(super) fn read_failed_codes(reader: &mut Reader, key: &str) -> Option<BTreeSet<StatusCode>> {
    let codes = reader.codes(key)?;
    for code in &codes {
        let remedy = "list only final codes that OKEBAYAR does not document";
        if let Some(meaning) = code.documented() {
            reader.fault(key, format!("{code} is documented: {meaning}"), remedy);
        } else if code.entry().is_pending() {
            reader.fault(key, format!("{code} is not final"), remedy);
        }
    }
    Some(codes)
}

/// Rejects codes that are in both lists: one code has one meaning.
pub(super) fn verify_lists(
    reader: &mut Reader,
    key: &str,
    not_received: Option<&BTreeSet<StatusCode>>,
    failed: Option<&BTreeSet<StatusCode>>,
) {
    let (Some(not_received), Some(failed)) = (not_received, failed) else {
        return;
    };
    for code in not_received.intersection(failed) {
        let problem = format!("{code} stands in failed_codes too");
        reader.fault(
            key,
            problem,
            "list it where OKEBAYAR means it, in one of the two",
        );
    }
}
