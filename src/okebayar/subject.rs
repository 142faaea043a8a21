//! The transaction that an answer is about: what the answer names, and what it shows that only
//! OKEBAYAR's record of the transaction can hold (`docs/decisions/0003`).
//!
//! A check tells OKEBAYAR the reference code and, where it is known, the trace code of the POST's
//! own answer. Both may come back as an echo from an OKEBAYAR that has no record of either.

use super::{
    account_number::{AccountNumberForms, is_other_number, is_other_period, is_placeholder},
    answer::Answer,
    code_lists::CodeLists,
    mismatch::Mismatch,
    phone_number::is_same_phone,
};
use crate::transaction::{
    Amount, Details, InquiriesMade, InquiryCode, Order, SerialNumber, Source, TraceCode,
    Transaction, Verbatim,
};

/// What a transaction is known by, for reading what is said about it elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// The inquiries made under its reference code.
    pub inquired: &'a InquiriesMade,
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
    let [is_other_two, is_other_three] = are_others_in(answer, order);
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

/// Returns whether an answer about an order names another second, and another third, account
/// number than its payment sends. Where that sends none, none can be another one.
fn are_others_in(answer: &Answer, order: &Order) -> [bool; 2] {
    let inquired = order.inquired.as_ref();
    let Some((inquired, bill)) = inquired.and_then(|it| Some((it, it.bill.as_ref()?))) else {
        return [false; 2];
    };
    let [_, two, three] = bill.account_numbers.each_ref().map(Verbatim::as_str);
    let is_other_two = answer.account_number_2.as_deref().is_some_and(|named| {
        // A number that is no part of the customer's identity is the payer's phone.
        let names_customer = inquired.customer.as_str().ends_with(&format!("/{two}"));
        let is_same = if names_customer {
            !is_other_number(named, two)
        } else {
            is_placeholder(named)
                || is_same_phone(named, two)
                || is_same_phone(named, bill.contact_number.as_str())
        };
        !two.is_empty() && !is_same
    });
    let named_three = answer.account_number_3.as_deref();
    let is_other_three =
        named_three.is_some_and(|named| !three.is_empty() && is_other_period(named, three));
    [is_other_two, is_other_three]
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
pub(super) fn shows_purchase(answer: &Answer, asked: Subject<'_>) -> bool {
    let details = &answer.details;
    let reference = asked.transaction.reference_code().as_str();
    let has_serial_number = details.serial_number.as_ref().is_some_and(|number| {
        // One that only returns what a check told is no proof of delivery.
        let text = number.expose();
        let mut traces = own_trace_codes(asked.transaction);
        let is_echo =
            same_letters(text, reference) || traces.any(|own| same_letters(text, own.as_str()));
        !is_echo && !asked.inquired.may_have_told_serial_number(number)
    });
    let price = details.price.filter(|price| *price > Amount::ZERO);
    has_serial_number || price.is_some_and(|price| !asked.inquired.told_price(price))
}

/// Returns the details of an answer without a serial number that an inquiry told: it is not what
/// was bought, which is still awaited.
pub(super) fn details(answer: &Answer, asked: Subject<'_>) -> Details {
    let mut details = answer.details.clone();
    let is_purchase = |number: &SerialNumber| !asked.inquired.told_serial_number(number);
    details.serial_number = details.serial_number.filter(is_purchase);
    details
}

/// Returns true when an answer carries the trace code of the POST's own answer, and that is no
/// inquiry's. In the answer to a check it may be an echo.
pub(super) fn names_own_trace(answer: &Answer, asked: Subject<'_>) -> bool {
    answer.details.trace_code.as_ref().is_some_and(|named| {
        own_trace_codes(asked.transaction).any(|own| own == named)
            && !asked.inquired.told_trace_code(named)
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
