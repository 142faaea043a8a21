//! The codes that identify things (API page, section 2), each a type of its own.
//!
//! A value of one of these types is valid: it was parsed. Serial numbers and
//! account numbers never show themselves in `Debug` (promise 15).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant};

/// Why a text is not the code it was given as: the problem and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct BadCode {
    problem: String,
    remedy: &'static str,
}

fn check(
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

macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $chars:expr, $allowed:expr, $remedy:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads the code, or says what is wrong with it.
            ///
            /// # Errors
            /// [`BadCode`] when the length or a character is not allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, BadCode> {
                let text = text.into();
                check(&text, $chars, $allowed, $remedy)?;
                Ok(Self(text))
            }

            /// The code as text.
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

fn graphic(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

code!(
    /// The configured name of an OKEBAYAR account.
    AccountName,
    1..=32,
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    "give 1 to 32 lower-case letters, digits or hyphens"
);
/// The partner's own unique id of a transaction, as first given: 8 to 64 letters, digits
/// or hyphens, of which at least 8 are letters or digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReferenceCode(String);

/// The least number of letters and digits: what remains without hyphens is the key.
const REFERENCE_ALPHANUMERICS_MIN: usize = 8;

impl ReferenceCode {
    /// Parses a reference code.
    ///
    /// # Errors
    /// [`BadCode`] when the length or a character is not allowed, or when fewer than 8
    /// letters or digits remain without the hyphens.
    pub fn parse(text: impl Into<String>) -> Result<Self, BadCode> {
        let text = text.into();
        let remedy = "give 8 to 64 letters, digits or hyphens, best a UUID of version 7";
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        check(&text, 8..=64, is_allowed, remedy)?;
        let count = text.bytes().filter(u8::is_ascii_alphanumeric).count();
        if count < REFERENCE_ALPHANUMERICS_MIN {
            return Err(BadCode {
                problem: format!("it has {count} letters and digits"),
                remedy: "give at least 8 letters or digits, best a UUID of version 7",
            });
        }
        Ok(Self(text))
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, if it tells: a UUID of version 7 begins with the time (RFC
    /// 9562, section 5.7), by its maker's clock.
    #[must_use]
    pub fn minted_at(&self) -> Option<Timestamp> {
        let uuid = Uuid::try_parse(&self.0).ok()?;
        if uuid.get_version_num() != 7 || uuid.get_variant() != Variant::RFC4122 {
            return None;
        }
        let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }
}

impl TryFrom<String> for ReferenceCode {
    type Error = BadCode;
    fn try_from(text: String) -> Result<Self, BadCode> {
        Self::parse(text)
    }
}

impl From<ReferenceCode> for String {
    fn from(code: ReferenceCode) -> String {
        code.0
    }
}

code!(
    /// OKEBAYAR's code of a product.
    ProductCode,
    1..=64,
    graphic,
    "give 1 to 64 printable ASCII characters without spaces"
);
code!(
    /// Who receives the product: a phone or meter number. Masked in `Debug`.
    AccountNumber,
    1..=32,
    |b| b.is_ascii_alphanumeric() || b"+-._@".contains(&b),
    "give 1 to 32 letters, digits, '+', '-', '.', '_' or '@'"
);
code!(
    /// OKEBAYAR's id of one request hit.
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
shown!(
    AccountName,
    ReferenceCode,
    ProductCode,
    TraceCode,
    InquiryCode
);

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl AccountNumber {
    /// The last four characters behind asterisks, as logs may show it.
    #[must_use]
    pub fn masked(&self) -> String {
        let shown = if self.0.len() > 4 {
            self.0.len() - 4
        } else {
            self.0.len()
        };
        format!("****{}", &self.0[shown..])
    }
}

impl TraceCode {
    /// Reads the trace code of an answer; `None` when it is none, or a placeholder such as `-`,
    /// `0` or `null`. What a record holds is parsed: it was read before.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok().filter(|_| !is_placeholder(text))
    }
}

/// Proof of delivery. For an electricity token it is the token, which is money:
/// `Debug` never shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SerialNumber(String);

/// The longest serial number kept, in characters; the rest is cut off.
const SERIAL_NUMBER_CHARS_MAX: usize = 512;

/// Words that stand where a number or code is still to come, or will never come; in any case
/// and with any punctuation.
const PLACEHOLDERS: [&str; 22] = [
    "na",
    "nan",
    "null",
    "none",
    "nil",
    "nul",
    "undefined",
    "unknown",
    "empty",
    "blank",
    "void",
    "pending",
    "process",
    "processing",
    "waiting",
    "tbd",
    "false",
    "kosong",
    "belumada",
    "tidakada",
    "proses",
    "menunggu",
];

/// Returns true for a text that stands for no code at all: one without a letter or digit other
/// than zero, one of nothing but x, and the words of [`PLACEHOLDERS`].
fn is_placeholder(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    plain.chars().all(|c| c == '0')
        || plain.chars().all(|c| c == 'x')
        || PLACEHOLDERS.contains(&plain.as_str())
}

impl SerialNumber {
    /// Reads a serial number; `None` when the text is blank or a placeholder, such as `-`, `0`,
    /// `N/A` or `null`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_one = !is_placeholder(text);
        is_one.then(|| Self(text.chars().take(SERIAL_NUMBER_CHARS_MAX).collect()))
    }

    /// The number itself, for the caller who bought it.
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

/// The key of a transaction: its reference code in lower case and without hyphens.
///
/// It is unique in the whole store. OKEBAYAR may ignore case, and a caller may print a
/// UUID with or without hyphens, so all spellings are one key. The account is no part of
/// it: a changed default account or a renamed one must not make a second purchase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionKey(String);

impl TransactionKey {
    /// Builds the key of a reference code.
    #[must_use]
    pub fn new(reference: &ReferenceCode) -> Self {
        let letters = reference.as_str().bytes().filter(|byte| *byte != b'-');
        Self(
            letters
                .map(|byte| char::from(byte.to_ascii_lowercase()))
                .collect(),
        )
    }

    /// Parses what `Display` wrote.
    ///
    /// # Errors
    /// [`BadCode`] when it is no key, or is not in its one written form.
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        let key = Self::new(&ReferenceCode::parse(text)?);
        if key.0 != text {
            return Err(BadCode {
                problem: format!("{text:?} is no transaction key"),
                remedy: "give a reference code in lower case, without hyphens",
            });
        }
        Ok(key)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a caller names a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The key of its reference code.
    pub key: TransactionKey,
    /// The account that must have paid it; `None` for any.
    pub account: Option<AccountName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_code_says_what_is_wrong_with_it() {
        let problem = |text: &str| ReferenceCode::parse(text).unwrap_err().to_string();
        assert!(problem("").starts_with("it is empty; give 8 to 64"));
        assert!(problem("short").starts_with("it is 5 bytes long"));
        assert!(problem("with space").starts_with("it contains ' '"));
        assert!(problem("kodé-1234").starts_with("it contains 'é'"));
    }

    #[test]
    fn all_spellings_of_a_reference_code_are_one_key() {
        let key = |text| TransactionKey::new(&ReferenceCode::parse(text).unwrap());
        assert_eq!(key("ABCD-1234"), key("abcd1234"));
        assert_eq!(key("a-b-c-d-1-2-3-4"), key("ABCD1234"));
        assert_ne!(key("abcd12345"), key("abcd1234"));
        assert_eq!(TransactionKey::parse("abcd1234").unwrap(), key("Abcd-1234"));
        for other in ["abcd-1234", "ABCD1234", "main:abcd1234", ""] {
            assert!(TransactionKey::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_reference_code_of_hyphens_is_refused() {
        let problem = |text: &str| ReferenceCode::parse(text).unwrap_err().to_string();
        assert!(problem("--------").starts_with("it has 0 letters and digits; give at least 8"));
        assert!(problem("abcdefg-").starts_with("it has 7 letters and digits"));
        assert!(ReferenceCode::parse("abcdefgh").is_ok());
    }

    #[test]
    fn secrets_of_the_customer_do_not_show_in_debug() {
        let account = AccountNumber::parse("081234567890").unwrap();
        assert_eq!(format!("{account:?}"), "****7890");
        assert_eq!(
            format!("{:?}", AccountNumber::parse("1234").unwrap()),
            "****"
        );
        let serial = SerialNumber::read(" 1122 ").unwrap();
        assert!(!format!("{serial:?}").contains("1122"));
        assert_eq!(serial.expose(), "1122");
    }

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

    #[test]
    fn a_status_code_is_three_digits_and_nothing_else() {
        assert_eq!(StatusCode::read("003").unwrap().number(), 3);
        for text in ["", "0", "0000", " 00", "2O0", "-01", "٠٠٠"] {
            assert_eq!(StatusCode::read(text), None, "{text}");
        }
    }
}
