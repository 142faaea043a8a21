//! The requests of all operations, strict and lower case (docs/OKEBAYAR.md, section 3).

use super::{
    account::Account,
    body::{Body, signed},
    format::Format,
    question::Question,
    xml,
};
use crate::transaction::{
    AccountNumber, Bill, InquiredData, Order, ProductCode, TraceCode, Transaction, Verbatim,
};

/// The `querycode` of a prepaid inquiry.
const INQUIRY: &str = "inquiry";

/// Returns the name of a text that the account's format cannot send verbatim; `None` without one.
/// Such an order must not be sent: OKEBAYAR would receive another text.
#[must_use]
pub fn unsendable(account: &Account, order: &Order) -> Option<&'static str> {
    let mut texts = order.inquired.iter().flat_map(InquiredData::texts);
    match account.format {
        Format::Json => None,
        Format::Xml => texts
            .find(|(_, text)| !xml::can_hold(text.as_str()))
            .map(|(name, _)| name),
    }
}

/// Builds the purchase of a prepaid product, or the payment of a bill.
#[must_use]
pub fn order(account: &Account, wanted: &Transaction) -> Body {
    let order = wanted.order();
    let reference_code = &wanted.sent_reference_code();
    match &order.inquired {
        Some(InquiredData {
            refs,
            bill: Some(bill),
            ..
        }) => {
            let inquiry_code = wanted.contents().inquiry_code();
            let mut parameters = vec![("productcode", order.product_code.as_str())];
            parameters.extend(bill_parameters(bill));
            parameters.extend(
                REFS.into_iter()
                    .zip(refs)
                    .map(|(name, text)| (name, text.as_ref().map_or("", Verbatim::as_str))),
            );
            parameters.extend(inquiry_code.map(|code| ("inquirycode", code.as_str())));
            let code = &account.transaction_codes.payment;
            signed(account, ("payment", code), reference_code, &parameters)
        }
        inquired => {
            let mut parameters = vec![
                ("productcode", order.product_code.as_str()),
                ("accnumber", order.account_number.as_str()),
            ];
            // The references are sent as the inquiry gave them, without inquirycode.
            let refs = inquired.iter().flat_map(|inquired| &inquired.refs);
            let refs = REFS.into_iter().zip(refs);
            parameters
                .extend(refs.filter_map(|(name, text)| Some((name, text.as_ref()?.as_str()))));
            let code = &account.transaction_codes.prepaid;
            signed(account, ("purchase", code), reference_code, &parameters)
        }
    }
}

/// The names of the references of an inquiry.
const REFS: [&str; 3] = ["ref1", "ref2", "ref3"];

fn bill_parameters(bill: &Bill) -> [(&'static str, &str); 6] {
    let [one, two, three] = &bill.account_numbers;
    [
        ("accnumber1", one.as_str()),
        ("accnumber2", two.as_str()),
        ("accnumber3", three.as_str()),
        ("contactnumber", bill.contact_number.as_str()),
        ("nominal", bill.nominal.as_str()),
        ("adminfee", bill.admin_fee.as_str()),
    ]
}

/// Builds the inquiry before a prepaid purchase.
#[must_use]
pub fn prepaid_inquiry(
    account: &Account,
    reference_code: &str,
    product_code: &ProductCode,
    account_number: &AccountNumber,
) -> Body {
    let parameters = [
        ("querycode", INQUIRY),
        ("productcode", product_code.as_str()),
        ("accnumber", account_number.as_str()),
    ];
    let code = &account.transaction_codes.prepaid;
    signed(
        account,
        ("prepaid_inquiry", code),
        &account.reference_to_send(reference_code),
        &parameters,
    )
}

/// Builds the inquiry for a bill.
#[must_use]
pub fn postpaid_inquiry(account: &Account, reference_code: &str, question: &Question) -> Body {
    let months = question.customer.months();
    let [one, two, three] = question.customer.account_numbers(&months);
    let mut parameters = vec![
        ("productcode", question.product_code.as_str()),
        ("accnumber1", one),
        ("accnumber2", two),
        ("accnumber3", three),
        ("contactnumber", question.contact_number.as_str()),
    ];
    parameters.extend(question.ref1.as_ref().map(|text| ("ref1", text.as_str())));
    let code = &account.transaction_codes.inquiry;
    signed(
        account,
        ("postpaid_inquiry", code),
        &account.reference_to_send(reference_code),
        &parameters,
    )
}

/// Builds the status check of a transaction: always with its reference code, and with the trace
/// code of the POST's own answer where that is known (docs/OKEBAYAR.md, section 3.2).
#[must_use]
pub fn check(account: &Account, transaction: &Transaction, trace_code: Option<&TraceCode>) -> Body {
    let parameters = trace_code.map(|code| ("tracecode", code.as_str()));
    let code = &account.transaction_codes.check;
    signed(
        account,
        ("check", code),
        &transaction.sent_reference_code(),
        parameters.as_slice(),
    )
}

/// Builds the status check of a reference code that the store does not know, in exactly this form.
#[must_use]
pub fn check_unknown(account: &Account, reference_code: &str) -> Body {
    let code = &account.transaction_codes.check;
    signed(account, ("check", code), reference_code, &[])
}

/// Builds the request for the balance. The reference code is the gateway's own.
#[must_use]
pub fn balance(account: &Account, reference_code: &str) -> Body {
    signed(
        account,
        ("balance", &account.transaction_codes.balance),
        &account.reference_to_send(reference_code),
        &[],
    )
}

/// Builds an echo, a test of the connection. The reference code is the gateway's own.
#[must_use]
pub fn echo(account: &Account, reference_code: &str, message: &str) -> Body {
    let parameters = [("message", message)];
    signed(
        account,
        ("echo", &account.transaction_codes.echo),
        &account.reference_to_send(reference_code),
        &parameters,
    )
}
