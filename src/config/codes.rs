//! Codes that depend on the deployment: transaction codes of operations, and the meaning of status
//! codes that OKEBAYAR does not document.

use std::collections::BTreeSet;

use super::reader::Reader;
use crate::{
    okebayar::account::TransactionCodes,
    transaction::{AsNotReceived, StatusCode},
};

/// Reads the transaction codes of the operations; `key` is the prefix of the six keys.
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
    verify_read_only_codes(reader, key, &codes);
    Some(codes)
}

/// Refuses the transaction code of a purchase or payment for an operation that moves no money:
/// OKEBAYAR could execute it as a purchase, and status checks are repeated. A payment and its inquiry may
/// share a code, as OKEBAYAR documents.
fn verify_read_only_codes(reader: &mut Reader, key: &str, codes: &TransactionCodes) {
    let (prepaid, payment) = (&codes.prepaid, &codes.payment);
    for (leaf, code, others) in [
        ("check", &codes.check, &[prepaid, payment][..]),
        ("balance", &codes.balance, &[prepaid, payment]),
        ("echo", &codes.echo, &[prepaid, payment]),
        ("inquiry", &codes.inquiry, &[prepaid]),
    ] {
        if others.iter().any(|other| other.eq_ignore_ascii_case(code)) {
            let problem = "is the code of a purchase or payment: a mere query could buy";
            let remedy = "use the code that OKEBAYAR assigned to this operation";
            reader.fault(&format!("{key}_{leaf}"), problem, remedy);
        }
    }
}

/// Reads the status codes by which OKEBAYAR reports that it never received a reference code.
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
            "{code} does not mean that OKEBAYAR never received the request: {}",
            code.meaning()
        );
        let remedy = "list only the code that OKEBAYAR returns for a reference code that it never \
                      received, as confirmed by its customer service";
        reader.fault(key, problem, remedy);
    }
    Some(codes)
}

/// Reads the undocumented status codes that mean failure.
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

/// Refuses codes that are in both lists: a code has one meaning.
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
        let problem = format!("{code} is also listed in failed_codes");
        reader.fault(
            key,
            problem,
            "keep it only in the list that matches its meaning",
        );
    }
}
