//! The requests, strict and lower case (API page, section 3).

use secrecy::{ExposeSecret, SecretString};

use super::{
    client::Account, format::Format, inquiry::Question, personal, redact::Secrets, send_by::SendBy,
    signature::sign, xml,
};
use crate::transaction::{
    AccountNumber, Bill, InquiredData, Order, ProductCode, TraceCode, Transaction, Verbatim,
};

/// Who asks: one account's credentials. `Debug` hides the PIN.
#[derive(Debug)]
pub struct Credentials {
    /// The member id.
    pub user_id: String,
    /// The PIN, which never reaches a log (promise 15).
    pub pin: SecretString,
}

/// What the operations are called on the wire (API page, 3.1).
#[derive(Clone, Debug)]
pub struct TransactionCodes {
    /// A prepaid purchase, and with a query code a prepaid inquiry.
    pub prepaid: String,
    /// A postpaid inquiry.
    pub inquiry: String,
    /// A postpaid payment.
    pub payment: String,
    /// A status check.
    pub check: String,
    /// The deposit.
    pub balance: String,
    /// A test of the connection.
    pub echo: String,
}

/// A request's body: it holds the PIN, so it has no `Debug`.
pub struct Body {
    operation: &'static str,
    transaction_code: String,
    product_code: Option<String>,
    format: Format,
    bytes: Vec<u8>,
    send_by: Option<SendBy>,
    secrets: Secrets,
    personal: Vec<String>,
}

impl Body {
    /// What it asks, in one word.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What OKEBAYAR calls the operation.
    #[must_use]
    pub fn transaction_code(&self) -> &str {
        &self.transaction_code
    }

    /// The product that it is about, if it names one.
    #[must_use]
    pub fn product_code(&self) -> Option<&str> {
        self.product_code.as_deref()
    }

    /// The media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    /// Lets the body leave until then, and not later.
    #[must_use]
    pub fn sent_by(mut self, send_by: SendBy) -> Self {
        self.send_by = Some(send_by);
        self
    }

    /// Returns the time until which it may leave; `None` where it does not matter.
    #[must_use]
    pub fn send_by(&self) -> Option<SendBy> {
        self.send_by
    }

    /// Returns the secrets that it holds, which its answer may quote.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Returns the values in it that name a customer: never to be logged.
    #[must_use]
    pub fn personal(&self) -> &[String] {
        &self.personal
    }

    /// The bytes to send, PIN included: never to be logged.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The `querycode` of a prepaid inquiry.
const INQUIRY: &str = "inquiry";
/// What JSON writes as numbers, where the account does.
const AMOUNTS: [&str; 2] = ["nominal", "adminfee"];

/// Returns the name of a text that the account's format cannot carry back to the letter, if
/// there is one. Nothing may be sent then: OKEBAYAR would get another text.
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

/// The purchase of a prepaid product, or the payment of a bill.
#[must_use]
pub fn order(account: &Account, wanted: &Transaction) -> Body {
    let order = wanted.order();
    let reference_code = wanted.reference_code().as_str();
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
            // The inquiry's references as it gave them, and no inquirycode.
            let refs = inquired.iter().flat_map(|inquired| &inquired.refs);
            let refs = REFS.into_iter().zip(refs);
            parameters
                .extend(refs.filter_map(|(name, text)| Some((name, text.as_ref()?.as_str()))));
            let code = &account.transaction_codes.prepaid;
            signed(account, ("purchase", code), reference_code, &parameters)
        }
    }
}

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

/// The inquiry before a prepaid purchase.
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
        reference_code,
        &parameters,
    )
}

/// The inquiry for a bill.
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
        reference_code,
        &parameters,
    )
}

/// The status check of a transaction: by its reference code always, and by the
/// trace code of its own answer when that is known (API page, 3.2).
#[must_use]
pub fn check(account: &Account, asked: &Transaction, trace_code: Option<&TraceCode>) -> Body {
    let parameters = trace_code.map(|code| ("tracecode", code.as_str()));
    let code = &account.transaction_codes.check;
    signed(
        account,
        ("check", code),
        asked.reference_code().as_str(),
        parameters.as_slice(),
    )
}

/// Builds a check of a reference code of which nothing else is known.
#[must_use]
pub fn check_unknown(account: &Account, reference_code: &str) -> Body {
    let code = &account.transaction_codes.check;
    signed(account, ("check", code), reference_code, &[])
}

/// The deposit that is left. The reference code is the gateway's own.
#[must_use]
pub fn balance(account: &Account, reference_code: &str) -> Body {
    signed(
        account,
        ("balance", &account.transaction_codes.balance),
        reference_code,
        &[],
    )
}

/// A test of the connection. The reference code is the gateway's own.
#[must_use]
pub fn echo(account: &Account, reference_code: &str, message: &str) -> Body {
    let parameters = [("message", message)];
    signed(
        account,
        ("echo", &account.transaction_codes.echo),
        reference_code,
        &parameters,
    )
}

fn signed(
    account: &Account,
    (operation, transaction_code): (&'static str, &str),
    reference_code: &str,
    parameters: &[(&str, &str)],
) -> Body {
    let Credentials { user_id, pin } = &account.credentials;
    let signature = sign(user_id, pin, reference_code);
    let mut fields = vec![("transactioncode", transaction_code)];
    fields.extend(parameters);
    fields.extend([
        ("userid", user_id.as_str()),
        ("userpin", pin.expose_secret()),
        ("signature", signature.expose_secret()),
        ("referencecode", reference_code),
    ]);
    let format = account.format;
    let product_code = parameters.iter().find(|(name, _)| *name == "productcode");
    Body {
        operation,
        transaction_code: transaction_code.to_owned(),
        product_code: product_code.map(|(_, code)| (*code).to_owned()),
        format,
        send_by: None,
        bytes: format.write(&fields, if account.json_numbers { &AMOUNTS } else { &[] }),
        secrets: Secrets::new(pin.clone(), signature),
        personal: personal::of_request(parameters),
    }
}
