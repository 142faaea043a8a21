//! The names of an answer by how their texts may be altered to keep a secret.

use jiff::tz::TimeZone;

use super::times::read_expiry;
use crate::{okebayar::fields::AMOUNTS, transaction::StatusCode};

/// What goes back to OKEBAYAR to the letter, control characters included.
pub(super) const VERBATIM: [&str; 10] = [
    "ref1",
    "ref2",
    "ref3",
    "accnumber1",
    "accnumber2",
    "accnumber3",
    "contactnumber",
    "nominal",
    "adminfee",
    "inquirycode",
];

/// What else identifies or proves something. With [`VERBATIM`] and [`AMOUNTS`]: what is
/// never altered in part, whatever it holds by chance.
const WHOLE: [&str; 8] = [
    "tracecode",
    "serialnumber",
    "productcode",
    "accnumber",
    "referencecode",
    "userid",
    "transactioncode",
    "querycode",
];

const STATUSES: [&str; 3] = ["transactionstatus", "responsecode", "status"];

const TIMES: [&str; 3] = ["transactiontime", "responsetime", "inquiryexpired"];

/// What the name of a text for readers contains: the documented `info` and
/// `responsestatus`, and what other systems call the text of a fault.
const FREE_TEXTS: [&str; 12] = [
    "info",
    "responsestatus",
    "statustext",
    "statusdesc",
    "message",
    "msg",
    "error",
    "fault",
    "reason",
    "description",
    "keterangan",
    "pesan",
];

/// How a text may be altered to keep a secret.
pub(super) enum Redaction {
    /// In any part: it is for readers.
    FreeText,
    /// Not at all: it is kept, or left out.
    Whole,
    /// Where it quotes a secret for certain.
    Other,
}

/// The kind of a text, by its name in lower case; a status or time that cannot be read is
/// only a text.
pub(super) fn redaction(name: &str, text: &str, zone: &TimeZone) -> Redaction {
    let text = text.trim();
    let is_whole = if STATUSES.contains(&name) {
        StatusCode::read(text).is_some()
    } else if TIMES.contains(&name) {
        read_expiry(text, zone).is_some()
    } else {
        VERBATIM.contains(&name) || AMOUNTS.contains(&name) || WHOLE.contains(&name)
    };
    if is_whole {
        return Redaction::Whole;
    }
    let is_text = FREE_TEXTS.iter().any(|part| name.contains(part));
    let is_code = name.ends_with("code") || name.starts_with("pln_");
    if STATUSES.contains(&name) || TIMES.contains(&name) || (is_text && !is_code) {
        Redaction::FreeText
    } else {
        Redaction::Other
    }
}
