//! Serial numbers: proofs of delivery.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::placeholder::is_placeholder;

/// The proof of delivery. For electricity it is the token itself, which is worth money, so `Debug`
/// never shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SerialNumber(String);

/// The maximum length of a serial number, in characters; the rest is truncated.
const SERIAL_NUMBER_CHARS_MAX: usize = 512;

impl SerialNumber {
    /// Returns the text in the place of an erased number.
    pub(super) fn erased() -> Self {
        Self("erased".to_owned())
    }

    /// Parses a serial number; returns `None` when the text is blank or a placeholder, such as `-`,
    /// `0`, `N/A` or `null`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_one = !is_placeholder(text);
        is_one.then(|| Self(text.chars().take(SERIAL_NUMBER_CHARS_MAX).collect()))
    }

    /// Returns the number itself, for the caller who bought it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SerialNumber(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::TraceCode;

    #[test]
    fn placeholders_are_no_serial_number_and_no_trace_code() {
        for text in [
            "",
            " ",
            "-",
            "--",
            "0",
            "000",
            "0-0",
            "00.00",
            ".",
            "*",
            "***",
            "\u{2014}",
            "N/A",
            "n.a.",
            "NA",
            "null",
            "NULL",
            "(none)",
            "None",
            "nil",
            "undefined",
            "Pending",
            "pending...",
            "xxx",
            "XXXX-XXXX",
            "x",
            "NaN",
            "unknown",
            "Belum ada",
            "tidak ada",
            "KOSONG",
        ] {
            assert_eq!(SerialNumber::read(text), None, "{text:?}");
            assert_eq!(TraceCode::read(text), None, "{text:?}");
        }
        for text in [
            "1",
            "0001",
            "A",
            "x1",
            "nana",
            "1122-3344",
            "****1234",
            "null1",
            "S/N 5",
        ] {
            assert!(SerialNumber::read(text).is_some(), "{text:?}");
            let is_code = !text.contains(' ');
            assert_eq!(TraceCode::read(text).is_some(), is_code, "{text:?}");
        }
        assert!(TraceCode::parse("-").is_ok(), "a stored one stays readable");
    }
}
