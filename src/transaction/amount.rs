//! Exact amounts of rupiah.

use std::fmt;

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

/// An exact amount in rupiah, at most 15 digits before the point and 4 after it.
/// Never passes through a floating-point number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(Decimal);

const DIGITS_MAX: usize = 15;
const DECIMALS_MAX: usize = 4;
const NANOS_PER_UNIT: u32 = 1_000_000_000;

/// A text that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount: give up to 15 digits, and up to 4 after a point")]
pub struct BadAmount;

impl Amount {
    /// Reads `11000`, `11000.00` or `-5.5`; exponents, blanks, signs other than
    /// a leading minus, and more digits are refused.
    ///
    /// # Errors
    /// [`BadAmount`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, decimals) = match digits.split_once('.') {
            Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
            Some(_) => return Err(BadAmount),
            None => (digits, ""),
        };
        let all_digits = [whole, decimals]
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        if whole.is_empty()
            || whole.len() > DIGITS_MAX
            || decimals.len() > DECIMALS_MAX
            || !all_digits
        {
            return Err(BadAmount);
        }
        Decimal::from_str_exact(text)
            .map(Self)
            .map_err(|_| BadAmount)
    }

    /// Whole rupiah, and billionths of a rupiah with the same sign.
    #[must_use]
    pub fn units_and_nanos(self) -> (i64, i32) {
        let nanos = self.0.fract() * Decimal::from(NANOS_PER_UNIT);
        // Both fit: at most 15 digits before the point and 9 after it.
        (
            self.0.trunc().to_i64().unwrap_or_default(),
            nanos.to_i32().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IDR {}", self.0)
    }
}

impl TryFrom<String> for Amount {
    type Error = BadAmount;
    fn try_from(text: String) -> Result<Self, BadAmount> {
        Self::parse(&text)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> String {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_digit() {
        for (text, units, nanos) in [
            ("11000.00", 11_000, 0),
            ("110000", 110_000, 0),
            ("10000.10", 10_000, 100_000_000),
            ("-0.5", 0, -500_000_000),
            ("999999999999999.9999", 999_999_999_999_999, 999_900_000),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!(amount.units_and_nanos(), (units, nanos), "{text}");
            assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_plainly_an_amount_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1e3",
            "+1",
            " 1",
            "1,000",
            "1.23456",
            "1234567890123456",
            "NaN",
        ] {
            assert_eq!(Amount::parse(text), Err(BadAmount), "{text}");
        }
    }
}
