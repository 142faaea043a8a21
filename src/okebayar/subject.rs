//! The transaction that an answer is about: what the answer names, and what it shows that only
//! OKEBAYAR's record of the transaction can hold (`docs/decisions/0003`).
//!
//! A check tells OKEBAYAR the reference code and, where it is known, the trace code of the POST's
//! own answer. Both may come back as an echo from an OKEBAYAR that has no record of either.

use super::{
    answer::Answer,
    inquiry,
    verdict::{Asked, CodeLists, masked},
};
use crate::transaction::{
    Amount, Details, InquiryCode, SerialNumber, Source, TraceCode, Transaction,
};

/// The forms in which OKEBAYAR may name an account number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountNumberForms {
    /// As it was sent; only the case of letters may differ.
    #[default]
    Exact,
    /// An Indonesian mobile number also with country code or separators: `08...`, `62 8...`,
    /// `+62-8...` and `00628...` are one number.
    Msisdn,
}

/// The country code of Indonesia.
const COUNTRY_CODE: &str = "62";
/// The digits of a mobile number after its leading zero or country code.
const MOBILE_DIGITS: std::ops::RangeInclusive<usize> = 8..=13;

impl AccountNumberForms {
    /// Parses the word for it in the configuration.
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

/// A field of an answer that is not the transaction's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Only the account number, under our reference code.
    AccountNumber,
    /// Only the product code, under our reference code.
    ProductCode,
    /// Only the second account number, under our reference code.
    AccountNumber2,
    /// Only the third account number, the months of a BPJS bill, under our reference code.
    AccountNumber3,
    /// Only the inquiry that was paid, under our reference code.
    InquiryCode,
    /// The reference code, or several things.
    Transaction,
}

impl Mismatch {
    /// Everything that may differ alone, under our reference code.
    pub const ALONE: [Self; 5] = [
        Self::AccountNumber,
        Self::ProductCode,
        Self::AccountNumber2,
        Self::AccountNumber3,
        Self::InquiryCode,
    ];

    /// Returns what an answer names there, account numbers and inquiry codes masked.
    pub(super) fn named(self, answer: &Answer) -> Option<String> {
        match self {
            Self::AccountNumber => answer.account_number.as_deref().map(masked),
            Self::AccountNumber2 => answer.account_number_2.as_deref().map(masked),
            Self::AccountNumber3 => answer.account_number_3.as_deref().map(masked),
            Self::InquiryCode => answer.inquiry_code.as_deref().map(masked),
            Self::ProductCode | Self::Transaction => answer.product_code.clone(),
        }
    }

    /// Returns the name of the field that differs, as OKEBAYAR calls it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::AccountNumber => "accnumber",
            Self::ProductCode => "productcode",
            Self::AccountNumber2 => "accnumber2",
            Self::AccountNumber3 => "accnumber3",
            Self::InquiryCode => "inquirycode",
            Self::Transaction => "referencecode",
        }
    }
}

/// Returns what an answer names that is not ours. What it leaves out names nothing.
pub(super) fn mismatch(
    answer: &Answer,
    about: &Transaction,
    lists: &CodeLists,
) -> Option<Mismatch> {
    let order = about.order();
    let paid = about.contents().inquiry_code().map(InquiryCode::as_str);
    let ours = about.reference_code().as_str();
    let is_other_reference = other_reference(answer.reference_code.as_ref(), ours);
    let is_other_product = other(answer.product_code.as_ref(), order.product_code.as_str());
    let is_other_account = other_account(
        answer.account_number.as_ref(),
        order.account_number.as_str(),
        lists.account_numbers,
    );
    let is_other_inquiry = paid.is_some_and(|ours| other(answer.inquiry_code.as_ref(), ours));
    let [is_other_two, is_other_three] = inquiry::are_others_in(answer, order);
    let found = [
        (is_other_account, Mismatch::AccountNumber),
        (is_other_product, Mismatch::ProductCode),
        (is_other_two, Mismatch::AccountNumber2),
        (is_other_three, Mismatch::AccountNumber3),
        (is_other_inquiry, Mismatch::InquiryCode),
    ];
    let names_us = answer.reference_code.is_some() && !is_other_reference;
    let mut found = found.into_iter().filter(|(differs, _)| *differs);
    match (found.next(), found.next()) {
        (None, _) if !is_other_reference => None,
        (Some((_, alone)), None) if names_us => Some(alone),
        _ => Some(Mismatch::Transaction),
    }
}

/// Returns true when something is named, and it is not ours.
pub(super) fn other(named: Option<&String>, ours: &str) -> bool {
    named.is_some_and(|named| !named.eq_ignore_ascii_case(ours))
}

/// Returns true when a reference code is named, and it is not ours. OKEBAYAR may leave out its
/// hyphens: no two reference codes of a store differ only in them or in case.
pub(super) fn other_reference(named: Option<&String>, ours: &str) -> bool {
    named.is_some_and(|named| !same_letters(named, ours))
}

/// Returns true for texts that are one without case, hyphens and other separators.
fn same_letters(one: &str, other: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = char> {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.map(|c| c.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

/// Returns true when an account number is named, and it is not ours in any form.
pub(super) fn other_account(named: Option<&String>, ours: &str, forms: AccountNumberForms) -> bool {
    named.is_some_and(|named| !forms.agree(named, ours))
}

/// Returns true when an answer shows a record of the transaction: the account number and, beside
/// it, the product code, a price or the inquiry that was paid. A check tells none of these, so
/// they are no echo. That they are ours was compared before.
pub(super) fn shows_record_of(answer: &Answer, about: &Transaction) -> bool {
    let paid = about.contents().inquiry_code().is_some() && answer.inquiry_code.is_some();
    answer.account_number.is_some() && (answer.product_code.is_some() || has_price(answer) || paid)
}

/// Returns true when an answer shows a record of anything under the reference code.
pub(super) fn shows_record(answer: &Answer) -> bool {
    let names_order = answer.product_code.is_some() || answer.inquiry_code.is_some();
    answer.account_number.is_some() && (names_order || has_price(answer))
}

/// Returns true when an answer holds what only a purchase has (API page, 3.2): a serial number
/// or a price that no inquiry under the same reference code was answered with.
pub(super) fn shows_purchase(answer: &Answer, asked: Asked<'_>) -> bool {
    let details = &answer.details;
    let reference = asked.transaction.reference_code().as_str();
    let has_serial_number = details.serial_number.as_ref().is_some_and(|number| {
        // One that only returns what a check told is no proof of delivery.
        let text = number.expose();
        let mut traces = own_trace_codes(asked.transaction);
        let is_echo =
            same_letters(text, reference) || traces.any(|own| same_letters(text, own.as_str()));
        !is_echo && !asked.inquired.may_have_returned_serial_number(number)
    });
    let price = details.price.filter(|price| *price > Amount::ZERO);
    has_serial_number || price.is_some_and(|price| !asked.inquired.returned_price(price))
}

/// Returns the details of an answer without a serial number that an inquiry told: it is not what
/// was bought, which is still awaited.
pub(super) fn details(answer: &Answer, asked: Asked<'_>) -> Details {
    let mut details = answer.details.clone();
    let is_purchase = |number: &SerialNumber| !asked.inquired.returned_serial_number(number);
    details.serial_number = details.serial_number.filter(is_purchase);
    details
}

/// Returns true when an answer carries the trace code of the POST's own answer, and that is no
/// inquiry's. In the answer to a check it may be an echo.
pub(super) fn names_own_trace(answer: &Answer, asked: Asked<'_>) -> bool {
    answer.details.trace_code.as_ref().is_some_and(|named| {
        own_trace_codes(asked.transaction).any(|own| own == named)
            && !asked.inquired.returned_trace_code(named)
    })
}

/// Returns the trace codes of the POST's own answers, without those of an answer that belongs to an
/// inquiry: a check under such a one finds the inquiry. Once the outcome is settled a transaction
/// also shows that of a callback, which anybody may have sent.
fn own_trace_codes(of: &Transaction) -> impl Iterator<Item = &TraceCode> {
    let said = of.evidence().iter().map(|(said, _)| said);
    let own = said.filter(|said| said.source == Source::Answer && !said.is_about_inquiry());
    own.filter_map(|said| said.details.trace_code.as_ref())
}

fn has_price(answer: &Answer) -> bool {
    let price = answer.details.price;
    price.is_some_and(|price| price > Amount::ZERO)
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
    fn numbers_that_are_not_one_mobile_number_differ() {
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
