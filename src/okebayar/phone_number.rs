//! The forms of one Indonesian phone number.

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

/// Returns the digits of a mobile number from the 8 on; `None` for any other number, so that no
/// meter or customer number is taken for another one.
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
    let unprefixed = if is_international {
        digits.as_str()
    } else {
        digits.strip_prefix("00").unwrap_or(&digits)
    };
    let national = match unprefixed.strip_prefix(COUNTRY_CODE) {
        // Some print +62 (0)812.
        Some(national) => national.strip_prefix('0').unwrap_or(national),
        None if is_international => return None,
        None => digits.strip_prefix('0')?,
    };
    (national.starts_with('8') && MOBILE_DIGITS.contains(&national.len()))
        .then(|| national.to_owned())
}

/// Returns true when two texts are one Indonesian phone number, with or without the country
/// code, and a mobile number also with separators. It is the payer's, whom no form of the
/// number makes another one, so `account_number_forms` does not decide.
pub(super) fn is_same_phone(one: &str, other: &str) -> bool {
    let national = |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        match digits.strip_prefix("62") {
            Some(rest) => format!("0{rest}"),
            None => digits.to_owned(),
        }
    };
    same_mobile(one, other) || national(one).eq_ignore_ascii_case(&national(other))
}
