//! What comes along with a status.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{amount::Amount, codes::TraceCode, serial_number::SerialNumber};

/// What came along with a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// OKEBAYAR's id of the hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_code: Option<TraceCode>,
    /// Proof of delivery.
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
    /// Names and texts of a price, balance or time that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<(String, String)>,
    /// Whatever else came.
    #[serde(skip_serializing_if = "ExtraFields::is_empty")]
    pub extra: ExtraFields,
}

impl Details {
    /// Joins what another mention of the same fact says: each detail that either
    /// has, and the lesser of two, so that no order of arrival matters.
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

/// Names and texts in the order in which they came. They may hold names of
/// customers, so `Debug` never shows them (promise 15).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExtraFields(Vec<(String, String)>);

impl ExtraFields {
    /// The names and texts, for the caller whose purchase it is.
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
    /// Keeps as many of the first names and texts as a record may keep.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        let mut keeper = ExtraFieldsBuilder::default();
        for (name, text) in fields {
            keeper.keep(&name, &text);
        }
        keeper.finish().0
    }
}

/// The most bytes that a record keeps of one answer's extra texts.
const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// Keeps as many of the first names and texts as a record may keep.
#[derive(Debug)]
pub struct ExtraFieldsBuilder {
    kept: ExtraFields,
    bytes_left: usize,
    left_out: usize,
}

impl Default for ExtraFieldsBuilder {
    fn default() -> Self {
        Self {
            kept: ExtraFields::default(),
            bytes_left: EXTRA_BYTES_MAX,
            left_out: 0,
        }
    }
}

impl ExtraFieldsBuilder {
    /// Keeps a name and its text, or counts that they were left out: from the first for
    /// which there is no room.
    pub fn keep(&mut self, name: &str, text: &str) {
        let size = name.len() + text.len();
        match self.bytes_left.checked_sub(size) {
            Some(left) if self.left_out == 0 => {
                self.bytes_left = left;
                self.kept.0.push((name.to_owned(), text.to_owned()));
            }
            _ => self.left_out += 1,
        }
    }

    /// Returns what was kept, and how many names were left out.
    #[must_use]
    pub fn finish(self) -> (ExtraFields, usize) {
        (self.kept, self.left_out)
    }
}
