//! The comparison of account numbers in an answer with ours.

use super::phone_number::same_mobile;

/// The forms in which OKEBAYAR may name an account number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountNumberForms {
    /// The number as it was sent; only the case of letters may differ.
    #[default]
    Exact,
    /// An Indonesian mobile number also with country code or separators: `08...`, `62 8...`,
    /// `+62-8...` and `00628...` are one number.
    Msisdn,
}

impl AccountNumberForms {
    /// Parses the configured word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "exact" => Some(Self::Exact),
            "msisdn" => Some(Self::Msisdn),
            _ => None,
        }
    }

    /// Returns true when both texts are forms of one number.
    #[must_use]
    pub fn agree(self, named: &str, ours: &str) -> bool {
        named.eq_ignore_ascii_case(ours) || (self == Self::Msisdn && same_mobile(named, ours))
    }
}

/// Returns the last four characters of an account number behind asterisks.
#[must_use]
pub fn masked(account_number: &str) -> String {
    let count = account_number.chars().count();
    let shown = if count > 4 { count - 4 } else { count };
    let shown: String = account_number.chars().skip(shown).collect();
    format!("****{shown}")
}

/// Returns true for a placeholder: a text of hyphens and zeros, or none.
pub(super) fn is_placeholder(named: &str) -> bool {
    named.bytes().all(|byte| b"-0".contains(&byte))
}

/// Returns true when an answer names a number, and it is not `ours`.
pub(super) fn is_other_number(named: &str, ours: &str) -> bool {
    let names_nobody = ours.is_empty() && is_placeholder(named);
    !names_nobody && !named.eq_ignore_ascii_case(ours)
}

/// Returns true when an answer names a number of months, and it is not `ours`. Leading zeros do not
/// count.
pub(super) fn is_other_period(named: &str, ours: &str) -> bool {
    let plain = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = if is_number {
            text.trim_start_matches('0')
        } else {
            text
        };
        digits.to_owned()
    };
    is_other_number(&plain(named), &plain(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_mobile_number_agree() {
        let forms = AccountNumberForms::Msisdn;
        let ours = "081234567890";
        for named in [
            "6281234567890",
            "+6281234567890",
            "006281234567890",
            "+62 812-3456-7890",
            "(0812) 3456.7890",
            "+62 (0)812 3456 7890",
            ours,
        ] {
            assert!(
                forms.agree(named, ours) && forms.agree(ours, named),
                "{named}"
            );
            let is_same_text = named == ours;
            assert_eq!(AccountNumberForms::Exact.agree(named, ours), is_same_text);
        }
    }

    #[test]
    fn forms_of_different_or_non_mobile_numbers_differ() {
        let forms = AccountNumberForms::Msisdn;
        for (one, two) in [
            ("081234567890", "6281234567891"),
            ("081234567890", "81234567890"),
            ("081234567890", "+6381234567890"),
            ("081234567890", "+081234567890"),
            ("081234567890", "0081234567890"),
            // A fixed line, a meter and a customer number are not mobile numbers.
            ("0211234567", "62211234567"),
            ("514444444444", "0514444444444"),
            ("081234", "6281234"),
            ("0812345678901234", "62812345678901234"),
            ("", "0"),
            ("62", "0"),
            ("08123456789a", "628123456789a"),
        ] {
            assert!(
                !forms.agree(one, two) && !forms.agree(two, one),
                "{one} {two}"
            );
        }
        assert!(forms.agree("Player@1", "PLAYER@1"));
    }
}
