//! The forms of an Indonesian phone number: national, and with country code or separators.

/// The country code of Indonesia.
const COUNTRY_CODE: &str = "62";

/// The digits of a mobile number after its leading zero or country code.
const MOBILE_DIGITS: std::ops::RangeInclusive<usize> = 8..=13;

/// Returns true when both texts are forms of one mobile number.
#[must_use]
pub fn same_mobile(one: &str, other: &str) -> bool {
    let one = mobile(one);
    one.is_some() && one == mobile(other)
}

/// Returns a phone number without its leading zero or country code: `0812...` and `62812...` are
/// one number. `None` for a text that begins with neither.
#[must_use]
pub fn national(digits: &str) -> Option<&str> {
    digits
        .strip_prefix(COUNTRY_CODE)
        .or_else(|| digits.strip_prefix('0'))
}

/// Returns the digits of a mobile number from the 8 on; `None` for any other number, so that no
/// meter or customer number is mistaken for another one.
#[must_use]
pub fn mobile(text: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, ' ' | '-' | '.' | '(' | ')');
    let (is_international, text) = match text.trim().strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    let digits: String = text.chars().filter(|c| !is_separator(*c)).collect();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let international = if is_international {
        Some(digits.as_str())
    } else {
        digits.strip_prefix("00")
    };
    let national = match international {
        Some(number) => number.strip_prefix(COUNTRY_CODE)?,
        None => national(&digits)?,
    };
    // Some print +62 (0)812.
    let national = national.strip_prefix('0').unwrap_or(national);
    (national.starts_with('8') && MOBILE_DIGITS.contains(&national.len()))
        .then(|| national.to_owned())
}

/// Returns true when two texts are one Indonesian phone number, with or without the country
/// code, and a mobile number also with separators. The number is the payer's, and no form of it
/// makes it another payer's, so `account_number_forms` does not apply.
pub(super) fn is_same_phone(one: &str, other: &str) -> bool {
    let plain = |text| str::strip_prefix(text, '+').unwrap_or(text);
    let (one_plain, other_plain) = (plain(one), plain(other));
    let is_same = match (national(one_plain), national(other_plain)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, None) => one_plain.eq_ignore_ascii_case(other_plain),
        _ => false,
    };
    is_same || same_mobile(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_form_has_neither_leading_zero_nor_country_code() {
        for number in ["0211234567", "62211234567"] {
            assert_eq!(national(number), Some("211234567"), "{number}");
        }
        for number in ["", "211234567", "+62211234567"] {
            assert_eq!(national(number), None, "{number}");
        }
    }

    #[test]
    fn one_phone_of_a_payer_is_the_same_with_and_without_country_code() {
        for (one, other) in [
            ("0211234567", "62211234567"),
            ("+62211234567", "0211234567"),
            ("+0211234567", "62211234567"),
            ("+62 (0)812 3456 7890", "081234567890"),
            ("A@example.com", "a@EXAMPLE.com"),
            ("123", "+123"),
        ] {
            assert!(is_same_phone(one, other) && is_same_phone(other, one));
        }
        for (one, other) in [
            ("0211234567", "211234567"),
            ("62211234567", "+211234567"),
            ("0211234567", "0211234568"),
            ("0062211234567", "0211234567"),
        ] {
            assert!(!is_same_phone(one, other) && !is_same_phone(other, one));
        }
    }
}
