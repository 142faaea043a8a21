//! Exact amounts of rupiah.

use std::fmt;

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

/// An exact amount in rupiah, of at most 15 digits before the point and 4 after it. It is never
/// converted to a floating-point number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(Decimal);

const DIGITS_MAX: usize = 15;
const DECIMALS_MAX: usize = 4;
const NANOS_PER_UNIT: u32 = 1_000_000_000;

/// The error of a text that is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount: give up to 15 digits, and up to 4 after a point")]
pub struct BadAmount;

/// An amount in an answer from OKEBAYAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// The text is empty.
    Absent,
    /// The text is not an amount, or is ambiguous: `105.000` is 105 to a program and 105 thousand
    /// in Indonesia.
    Unreadable,
    /// The amount, never negative.
    Amount(Amount),
}

/// The maximum number of decimals of an amount in an answer: three are a group of thousands.
const QUOTED_DECIMALS_MAX: usize = 2;

impl Quoted {
    /// Parses digits with no, one or two decimals after a point. Leading zeros and surrounding
    /// blanks are accepted; signs, exponents and separators of thousands are not.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Absent;
        }
        let (whole, decimals) = match text.split_once('.') {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (text, None),
        };
        let is_signed = text.starts_with('-');
        if is_signed
            || whole.is_empty()
            || decimals.is_some_and(|decimals| decimals.len() > QUOTED_DECIMALS_MAX)
        {
            return Self::Unreadable;
        }
        let digits = match whole.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        let parsed = match decimals {
            Some(decimals) => Amount::parse(&format!("{digits}.{decimals}")),
            None => Amount::parse(digits),
        };
        parsed.map_or(Self::Unreadable, Self::Amount)
    }

    /// Returns the amount, if it is present and readable.
    #[must_use]
    pub fn amount(self) -> Option<Amount> {
        match self {
            Self::Amount(amount) => Some(amount),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Returns the exact sum; `None` when it has too many digits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        Self::parse(&sum.to_string()).ok()
    }

    /// Returns the amount with the opposite sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(-self.0)
    }

    /// Builds an amount from whole rupiah and billionths; returns `None` when the signs differ or
    /// there are too many digits.
    #[must_use]
    pub fn from_units_and_nanos(units: i64, nanos: i32) -> Option<Self> {
        let is_one_sign = units.signum() * i64::from(nanos.signum()) >= 0;
        let below_one = nanos.unsigned_abs() < NANOS_PER_UNIT;
        let fraction = Decimal::new(i64::from(nanos), 9);
        let amount = Decimal::from(units).checked_add(fraction)?.normalize();
        (is_one_sign && below_one)
            .then(|| Self::parse(&amount.to_string()).ok())
            .flatten()
    }

    /// Parses amounts such as `11000`, `11000.00` and `-5.5`. Exponents, blanks, signs other than a
    /// leading minus, and more digits than an amount has are rejected.
    ///
    /// # Errors
    /// [`BadAmount`] when the text is not an amount.
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

    /// Returns whole rupiah, and billionths of a rupiah with the same sign.
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
    fn units_and_nanos_make_the_amount_again() {
        for text in ["0", "11000", "10000.1", "-0.5", "999999999999999.9999"] {
            let amount = Amount::parse(text).unwrap();
            let (units, nanos) = amount.units_and_nanos();
            assert_eq!(Amount::from_units_and_nanos(units, nanos), Some(amount));
        }
        for (units, nanos) in [
            (1, -1),
            (-1, 500_000_000),
            (0, 1_000_000_000),
            (1, 1),
            (i64::MAX, 0),
        ] {
            assert_eq!(Amount::from_units_and_nanos(units, nanos), None);
        }
    }

    #[test]
    fn a_sum_is_exact_or_none() {
        let amount = |text| Amount::parse(text).unwrap();
        let sum = amount("110000.10").checked_add(amount("2500"));
        assert_eq!(sum, Some(amount("112500.10")));
        assert_eq!(amount("999999999999999").checked_add(amount("1")), None);
    }

    #[test]
    fn an_amount_of_an_answer_is_exact_absent_or_unreadable() {
        for (text, amount) in [
            ("11000.00", "11000"),
            ("110000", "110000"),
            ("0", "0"),
            ("2500", "2500"),
            ("10000.0", "10000"),
            ("0.50", "0.5"),
            ("0000000000000110000", "110000"),
            ("000", "0"),
            (" 2500\n", "2500"),
            ("999999999999999.99", "999999999999999.99"),
        ] {
            let expected = Quoted::Amount(Amount::parse(amount).unwrap());
            assert_eq!(Quoted::read(text), expected, "{text}");
        }
        for text in ["", " ", "\t"] {
            assert_eq!(Quoted::read(text), Quoted::Absent, "{text:?}");
        }
        for text in [
            "105.000",
            "105.000,00",
            "105,000",
            "105,00",
            "1.5E3",
            "1e3",
            "-5000",
            "-0",
            "+5",
            "5.",
            ".5",
            ".",
            "1.2.3",
            "1.-5",
            "Rp 5",
            "5 000",
            "0x5",
            "NaN",
            "\u{661}",
            "1000000000000000",
        ] {
            assert_eq!(Quoted::read(text), Quoted::Unreadable, "{text}");
        }
    }

    #[test]
    fn amount_rejects_ambiguous_text() {
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
