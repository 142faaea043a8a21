//! Recognizes the answer to a purchase or payment among the answers to inquiries.

use crate::{
    okebayar::{
        account_number::AccountNumberForms,
        answer::Answer,
        subject::{other, other_account, other_reference},
    },
    transaction::{AccountNumber, Amount, AsPurchase, ProductCode},
};

/// The reference code, product and account number of an inquiry.
pub(crate) type InquiryTarget<'a> = (&'a str, &'a ProductCode, &'a AccountNumber);

/// Returns true when the answer to a prepaid inquiry is that of a purchase: OKEBAYAR may have
/// ignored `querycode` and sold the product.
pub(crate) fn is_prepaid_sale(answer: &Answer, named: InquiryTarget<'_>) -> bool {
    answer.inquiry_code.is_none() && shows_sale(answer) && may_be_sale_of(answer, named)
}

/// Returns true when the answer to a postpaid inquiry is that of a payment.
pub(crate) fn is_payment(answer: &Answer, named: InquiryTarget<'_>) -> bool {
    // Documented for payments only.
    let has_period = answer
        .fields
        .iter()
        .any(|(name, text)| name.eq_ignore_ascii_case("billingperiod") && !text.trim().is_empty());
    (has_period || shows_sale(answer)) && may_be_sale_of(answer, named)
}

/// Returns true for an answer with a field that only purchases and payments have
/// (docs/OKEBAYAR.md, section 3). An unreadable price counts as one.
fn shows_sale(answer: &Answer) -> bool {
    let details = &answer.details;
    let is_unread = |(name, _): &(String, String)| name == "harga" || name == "balance";
    details.serial_number.is_some()
        || details.price.is_some_and(|price| price > Amount::ZERO)
        || details.balance.is_some()
        || details.unread.iter().any(is_unread)
}

/// Returns true when an answer reports success or pending, is not about an inquiry, and names no
/// other target.
fn may_be_sale_of(
    answer: &Answer,
    (reference_code, product_code, number): InquiryTarget<'_>,
) -> bool {
    let meaning = answer.status_code().map(|code| code.entry().purchase);
    matches!(meaning, Some(AsPurchase::Succeeded | AsPurchase::Pending))
        && !answer.is_inquiry
        && !other_reference(answer.reference_code.as_ref(), reference_code)
        && !other(answer.product_code.as_ref(), product_code.as_str())
        // In any form of the number: money may be spent.
        && !other_account(
            answer.account_number.as_ref(),
            number.as_str(),
            AccountNumberForms::Msisdn,
        )
}
