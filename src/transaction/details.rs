//! The details that come with a status.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{amount::Amount, code_types::TraceCode, serial_number::SerialNumber};

/// The details that came with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// OKEBAYAR's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_code: Option<TraceCode>,
    /// The proof of delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<SerialNumber>,
    /// The price deducted, in rupiah.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// The deposit left, in rupiah.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Amount>,
    /// OKEBAYAR's time of the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// OKEBAYAR's text to the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// Names and texts of prices, balances and times that are unreadable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<(String, String)>,
    /// All other fields of the answer.
    #[serde(skip_serializing_if = "ExtraFields::is_empty")]
    pub extra: ExtraFields,
}

impl Details {
    /// Joins the details of another statement of the same identity: each detail that either has,
    /// and the lesser of two, so that the order of arrival does not matter.
    pub(super) fn join(&mut self, other: Self) {
        fn least<T: Ord>(one: &mut Option<T>, other: Option<T>) {
            *one = match (one.take(), other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        least(&mut self.trace_code, other.trace_code);
        least(&mut self.serial_number, other.serial_number);
        least(&mut self.price, other.price);
        least(&mut self.balance, other.balance);
        least(&mut self.time, other.time);
        least(&mut self.info, other.info);
        let some = |list: Vec<_>| Some(list).filter(|list| !list.is_empty());
        let mut unread = some(std::mem::take(&mut self.unread));
        least(&mut unread, some(other.unread));
        self.unread = unread.unwrap_or_default();
        let mut extra = some(std::mem::take(&mut self.extra.0));
        least(&mut extra, some(other.extra.0));
        self.extra = ExtraFields(extra.unwrap_or_default());
    }
}

/// Names and texts of fields, in the order of the answer. They may contain names of customers, so
/// `Debug` never shows them (promise 15).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtraFields(Vec<(String, String)>);

impl ExtraFields {
    /// Iterates over the names and texts, for the caller whose transaction it is.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ExtraFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtraFields({} hidden)", self.0.len())
    }
}

impl FromIterator<(String, String)> for ExtraFields {
    /// Collects as many of the first fields as a record may hold.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        let mut builder = ExtraFieldsBuilder::default();
        for (name, text) in fields {
            builder.keep(&name, &text);
        }
        builder.finish().0
    }
}

/// The limit on the bytes of one answer's extra fields in a record.
const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// A builder that collects as many of the first fields as a record may hold.
#[derive(Debug)]
pub struct ExtraFieldsBuilder {
    kept: ExtraFields,
    bytes_left: usize,
    omitted: usize,
}

impl Default for ExtraFieldsBuilder {
    fn default() -> Self {
        Self {
            kept: ExtraFields::default(),
            bytes_left: EXTRA_BYTES_MAX,
            omitted: 0,
        }
    }
}

impl ExtraFieldsBuilder {
    /// Adds a field. The first one for which there is no room, and all after it, are omitted and
    /// counted.
    pub fn keep(&mut self, name: &str, text: &str) {
        let size = name.len() + text.len();
        match self.bytes_left.checked_sub(size) {
            Some(left) if self.omitted == 0 => {
                self.bytes_left = left;
                self.kept.0.push((name.to_owned(), text.to_owned()));
            }
            _ => self.omitted += 1,
        }
    }

    /// Returns the fields, and the number of fields that were omitted.
    #[must_use]
    pub fn finish(self) -> (ExtraFields, usize) {
        (self.kept, self.omitted)
    }
}
