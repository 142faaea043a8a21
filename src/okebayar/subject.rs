//! The comparison of an answer with its transaction, and the search for facts that only OKEBAYAR's
//! record of the transaction can hold (`docs/decisions/0003`).
//!
//! A check sends the reference code and, where it is known, the trace code of the POST's own
//! answer. An OKEBAYAR without a record may return both as an echo.

use super::{
    account_number::{AccountNumberForms, is_other_number, is_other_period, is_placeholder},
    answer::Answer,
    deployment_codes::CodeLists,
    mismatch::Mismatch,
    phone_number::is_same_phone,
};
use crate::transaction::{
    Amount, Details, InquiriesMade, InquiryCode, Order, SerialNumber, Source, TraceCode,
    Transaction, Verbatim,
};

/// The transaction that a check or callback is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// The inquiries made under its reference code.
    pub inquired: &'a InquiriesMade,
}

/// Returns the field in which an answer differs from the transaction; `None` when it does not. A
/// field that the answer leaves out does not differ.
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
    // The account number of an erased transaction is unknown.
    let is_other_account = about.erasure().is_none()
        && other_account(
            answer.account_number.as_ref(),
            order.account_number.as_str(),
            lists.account_numbers,
        );
    let is_other_inquiry = paid.is_some_and(|ours| other(answer.inquiry_code.as_ref(), ours));
    let [is_other_two, is_other_three] = differ_from_bill(answer, order);
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

/// Compares the second and the third account number of an answer with those that the payment of the
/// order sends; true means that they differ. Where the payment sends none, none differs.
fn differ_from_bill(answer: &Answer, order: &Order) -> [bool; 2] {
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

/// Returns true when an answer names a text, and it is not ours.
pub(super) fn other(named: Option<&String>, ours: &str) -> bool {
    named.is_some_and(|named| !named.eq_ignore_ascii_case(ours))
}

/// Returns true when an answer names a reference code, and it is not ours. Hyphens and case are not
/// compared: OKEBAYAR may change them, and no two reference codes in a store differ only in them.
pub(super) fn other_reference(named: Option<&String>, ours: &str) -> bool {
    named.is_some_and(|named| !same_letters(named, ours))
}

/// Returns true for texts that are equal without case, hyphens and other separators.
fn same_letters(one: &str, other: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = char> {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.map(|c| c.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

/// Returns true when an answer names an account number, and it is not ours in any accepted form.
pub(super) fn other_account(named: Option<&String>, ours: &str, forms: AccountNumberForms) -> bool {
    named.is_some_and(|named| !forms.agree(named, ours))
}

/// Returns true when an answer shows OKEBAYAR's record of the transaction: the account number and,
/// with it, the product code, a price or the paid inquiry. A check sends none of these, so they
/// cannot be an echo. The caller has verified that they are ours.
pub(super) fn shows_record_of(answer: &Answer, about: &Transaction) -> bool {
    let paid = about.contents().inquiry_code().is_some() && answer.inquiry_code.is_some();
    answer.account_number.is_some() && (answer.product_code.is_some() || has_price(answer) || paid)
}

/// Returns true when an answer shows any record under the reference code.
pub(super) fn shows_record(answer: &Answer) -> bool {
    let names_order = answer.product_code.is_some() || answer.inquiry_code.is_some();
    answer.account_number.is_some() && (names_order || has_price(answer))
}

/// Returns true when an answer holds a fact that only a purchase has (docs/OKEBAYAR.md, section
/// 3.2): a serial number or a price that no inquiry under the same reference code returned.
pub(super) fn shows_purchase(answer: &Answer, subject: Subject<'_>) -> bool {
    let details = &answer.details;
    let reference = subject.transaction.reference_code().as_str();
    let has_serial_number = details.serial_number.as_ref().is_some_and(|number| {
        // A number that repeats what the check sent is an echo, not a proof of delivery.
        let text = number.expose();
        let mut traces = own_trace_codes(subject.transaction);
        let is_echo =
            same_letters(text, reference) || traces.any(|own| same_letters(text, own.as_str()));
        !is_echo && !subject.inquired.may_have_returned_serial_number(number)
    });
    let price = details.price.filter(|price| *price > Amount::ZERO);
    has_serial_number || price.is_some_and(|price| !subject.inquired.returned_price(price))
}

/// Returns the details of an answer, without a serial number that an inquiry returned: the number
/// of the purchase is still to come.
pub(super) fn details(answer: &Answer, subject: Subject<'_>) -> Details {
    let mut details = answer.details.clone();
    let is_purchase = |number: &SerialNumber| !subject.inquired.returned_serial_number(number);
    details.serial_number = details.serial_number.filter(is_purchase);
    details
}

/// Returns true when an answer carries the trace code of the POST's own answer, and no inquiry
/// returned the same one. In the answer to a check it may be an echo.
pub(super) fn names_own_trace(answer: &Answer, subject: Subject<'_>) -> bool {
    answer.details.trace_code.as_ref().is_some_and(|named| {
        own_trace_codes(subject.transaction).any(|own| own == named)
            && !subject.inquired.returned_trace_code(named)
    })
}

/// Returns the trace codes of the POST's own answers. The evidence also holds others, which do not
/// count: that of an answer about an inquiry, under which a check finds the inquiry, and that of a
/// callback, which an unauthenticated client may have sent.
fn own_trace_codes(of: &Transaction) -> impl Iterator<Item = &TraceCode> {
    let said = of.evidence().iter().map(|(said, _)| said);
    let own = said.filter(|said| said.source == Source::Answer && !said.is_about_inquiry());
    own.filter_map(|said| said.details.trace_code.as_ref())
}

fn has_price(answer: &Answer) -> bool {
    let price = answer.details.price;
    price.is_some_and(|price| price > Amount::ZERO)
}
