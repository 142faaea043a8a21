//! The extent to which each text of an answer may be altered to remove a secret.

use jiff::tz::TimeZone;

use super::times::read_expiry;
use crate::{okebayar::fields::AMOUNTS, transaction::StatusCode};

/// Names of texts that go back to OKEBAYAR verbatim, including control characters.
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

/// Names of further texts that identify or prove something. These, [`VERBATIM`] and [`AMOUNTS`] are
/// never altered in part: they may contain the PIN by chance.
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

/// Parts of the names of texts for readers: the documented `info` and `responsestatus`, and the
/// names that other systems give to an error text.
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

/// The extent to which a text may be altered to remove a secret.
pub(super) enum Redaction {
    /// A text for readers: the PIN is removed as well.
    FreeText,
    /// An identifier or proof: kept unaltered, or left out when it quotes a secret.
    WholeOrNothing,
    /// Any other text: only what is certainly a quoted secret is removed.
    QuotedSecrets,
}

/// Returns the extent for a text, by its name in lower case. An unreadable status or time is a text
/// for readers.
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
        return Redaction::WholeOrNothing;
    }
    let is_text = FREE_TEXTS.iter().any(|part| name.contains(part));
    let is_code = name.ends_with("code") || name.starts_with("pln_");
    if STATUSES.contains(&name) || TIMES.contains(&name) || (is_text && !is_code) {
        Redaction::FreeText
    } else {
        Redaction::QuotedSecrets
    }
}
