//! OKEBAYAR's codes (docs/OKEBAYAR.md, section 2), each a type of its own, and the macros that
//! define the types of codes.
//!
//! A value of one of these types is valid, because it was parsed. `Debug` never shows serial
//! numbers and account numbers (promise 15).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::placeholder::is_placeholder;

/// The error of a text that is not a valid code: the problem and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct BadCode {
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

/// Verifies the length and the characters of a code.
pub(super) fn check(
    text: &str,
    chars: std::ops::RangeInclusive<usize>,
    allowed: fn(u8) -> bool,
    remedy: &'static str,
) -> Result<(), BadCode> {
    let problem = if text.is_empty() {
        "it is empty".to_owned()
    } else if !chars.contains(&text.len()) {
        format!("it is {} bytes long", text.len())
    } else if let Some(odd) = text.chars().find(|c| !c.is_ascii() || !allowed(*c as u8)) {
        format!("it contains {odd:?}")
    } else {
        return Ok(());
    };
    Err(BadCode { problem, remedy })
}

/// Defines a type of code: a text of limited length, of allowed characters only.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $chars:expr, $allowed:expr, $remedy:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the code.
            ///
            /// # Errors
            /// [`BadCode`] when the length or a character is not allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, BadCode> {
                let text = text.into();
                check(&text, $chars, $allowed, $remedy)?;
                Ok(Self(text))
            }

            /// Returns the code as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadCode;
            fn try_from(text: String) -> Result<Self, BadCode> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(code: $name) -> String {
                code.0
            }
        }
    };
}

/// Implements `Display` and `Debug` for codes that are not secret.
macro_rules! shown {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

pub(super) use code;
pub(super) use shown;

fn graphic(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

code!(
    /// OKEBAYAR's code of a product.
    ProductCode,
    1..=64,
    graphic,
    "give 1 to 64 printable ASCII characters without spaces"
);

code!(
    /// OKEBAYAR's id of one request.
    TraceCode,
    1..=128,
    graphic,
    "give 1 to 128 printable ASCII characters without spaces"
);
code!(
    /// OKEBAYAR's id of an inquiry.
    InquiryCode,
    1..=128,
    graphic,
    "give the inquiry_code that an inquiry returned"
);
shown!(ProductCode, TraceCode, InquiryCode);

impl TraceCode {
    /// Parses the trace code of an answer; returns `None` when it is invalid, or a placeholder such
    /// as `-`, `0` or `null`. For a stored trace code use `parse`, which accepts every stored one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|_| !is_placeholder(text))
    }
}

/// A status code of three digits (docs/OKEBAYAR.md, section 5). Its meaning is in the table in
/// `status_codes.rs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusCode([u8; 3]);

impl StatusCode {
    /// 000: success, final.
    pub const SUCCESS: Self = Self(*b"000");
    /// 208: a duplicate of an earlier request.
    pub const DUPLICATE: Self = Self(*b"208");

    /// Parses exactly three digits; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let digits: [u8; 3] = text.as_bytes().try_into().ok()?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Self(digits))
    }

    /// Returns the code as a number, 0 to 999.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
            .iter()
            .fold(0, |n, digit| n * 10 + u16::from(digit - b'0'))
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.number())
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for StatusCode {
    type Error = BadCode;
    fn try_from(text: String) -> Result<Self, BadCode> {
        Self::read(&text).ok_or(BadCode {
            problem: format!("{text:?} is no status code"),
            remedy: "give three digits",
        })
    }
}

impl From<StatusCode> for String {
    fn from(code: StatusCode) -> String {
        code.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_code_is_three_digits_and_nothing_else() {
        assert_eq!(StatusCode::read("003").unwrap().number(), 3);
        for text in ["", "0", "0000", " 00", "2O0", "-01", "٠٠٠"] {
            assert_eq!(StatusCode::read(text), None, "{text}");
        }
    }
}
