//! The reference code of a transaction, and the key derived from it.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant};

use super::{
    account_names::AccountName,
    code_types::{BadCode, check, shown},
};

/// The caller's unique id of a transaction, as first given: 8 to 64 letters, digits or hyphens, of
/// which at least 8 are letters or digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReferenceCode(String);

/// The minimum number of letters and digits, which are the key.
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

    /// Returns the code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the code as it is sent to OKEBAYAR: as first given, or without hyphens.
    #[must_use]
    pub fn to_send(&self, omits_hyphens: bool) -> Cow<'_, str> {
        reference_to_send(&self.0, omits_hyphens)
    }

    /// Returns the time at which the code was generated, by its generator's clock, if it is a UUID
    /// of version 7, which begins with that time (RFC 9562, section 5.7).
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

/// Returns a reference code as it is sent to OKEBAYAR, which asks for alphanumeric ones
/// (docs/OKEBAYAR.md, section 2).
#[must_use]
pub fn reference_to_send(code: &str, omits_hyphens: bool) -> Cow<'_, str> {
    if omits_hyphens && code.contains('-') {
        Cow::Owned(code.replace('-', ""))
    } else {
        Cow::Borrowed(code)
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

shown!(ReferenceCode);

/// The key of a transaction: its reference code in lower case and without hyphens.
///
/// It is unique in the whole store. OKEBAYAR may ignore case, and a caller may write a UUID with or
/// without hyphens, so all spellings are one key. The account is not part of the key: a changed
/// default account or a renamed one must not cause a second purchase.
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

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    /// [`BadCode`] when the text is not a key in its canonical form.
    pub fn parse(text: &str) -> Result<Self, BadCode> {
        let key = Self::new(&ReferenceCode::parse(text)?);
        if key.0 != text {
            return Err(BadCode {
                problem: format!("{text:?} is not a transaction key"),
                remedy: "give a reference code in lower case, without hyphens",
            });
        }
        Ok(key)
    }

    /// Returns the key as text.
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

/// A caller's reference to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRef {
    /// The key of its reference code.
    pub key: TransactionKey,
    /// The account that must be the paying one; `None` for any.
    pub account: Option<AccountName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_code_error_names_the_problem() {
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
}
