//! Inquiries: what is asked, and what OKEBAYAR's answer tells (API page, section 3).

use jiff::{SignedDuration, Timestamp};

use super::{
    answer::{Answer, Fields, Unreadable},
    client::{NothingLearnt, QueryError},
    pln::{PlnPostpaid, PlnPrepaid},
    subject::{AccountNumberForms, Mismatch, other, other_account, other_reference, same_mobile},
    verdict::Ignored,
};
use crate::transaction::{
    AccountName, AccountNumber, Amount, Bill, InquiredData, Inquiry, InquiryCode, Order,
    ProductCode, Quoted, StatusCode, Verbatim,
};

/// How a customer is named; each form fills `accnumber1` to `accnumber3` its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customer {
    /// One number.
    Plain(AccountNumber),
    /// A fixed telephone line.
    Pstn {
        /// The area code.
        area_code: AccountNumber,
        /// The number without it.
        number: AccountNumber,
    },
    /// A member of the health insurance.
    Bpjs {
        /// The member's number.
        member: AccountNumber,
        /// How many months are paid for, 1 to 12.
        months: u8,
        /// The payer's phone number, which the payment names.
        payer_phone: AccountNumber,
    },
}

impl Customer {
    /// `accnumber1`.
    #[must_use]
    pub fn account_number(&self) -> &AccountNumber {
        match self {
            Self::Plain(number)
            | Self::Pstn {
                area_code: number, ..
            }
            | Self::Bpjs { member: number, .. } => number,
        }
    }

    /// The months of a BPJS inquiry as text; none otherwise.
    pub(super) fn months(&self) -> String {
        match self {
            Self::Bpjs { months, .. } => months.to_string(),
            _ => String::new(),
        }
    }

    /// `accnumber1` to `accnumber3` of the inquiry.
    pub(super) fn account_numbers<'a>(&'a self, months: &'a str) -> [&'a str; 3] {
        match self {
            Self::Plain(number) => [number.as_str(), "", ""],
            Self::Pstn { area_code, number } => [area_code.as_str(), number.as_str(), ""],
            Self::Bpjs { member, .. } => [member.as_str(), "", months],
        }
    }

    /// Returns the second or third account number that an answer names and that was not asked
    /// for. What it answers goes back in the payment, so where nothing was asked it
    /// must name nothing, but for the payer of a BPJS bill (API page, section 3).
    fn difference(&self, answer: &Answer, contact_number: &str) -> Option<Mismatch> {
        let months = self.months();
        let [_, two, three] = self.account_numbers(&months);
        let named_two = answer.account_number_2.as_deref();
        let is_payer = |named: &str| match self {
            Self::Bpjs { payer_phone, .. } => {
                is_same_phone(named, payer_phone.as_str()) || is_same_phone(named, contact_number)
            }
            _ => false,
        };
        let is_other_two =
            named_two.is_some_and(|named| is_other_number(named, two) && !is_payer(named));
        let named_three = answer.account_number_3.as_deref();
        let is_other_three = named_three.is_some_and(|named| is_other_period(named, three));
        match (is_other_two, is_other_three) {
            (false, false) => None,
            (true, false) => Some(Mismatch::AccountNumber2),
            (false, true) => Some(Mismatch::AccountNumber3),
            (true, true) => Some(Mismatch::Transaction),
        }
    }

    /// Names the customer, whatever is paid and by whom.
    fn identity(&self) -> Verbatim {
        let [one, two, _] = self.account_numbers("");
        Verbatim::new(format!("{one}/{two}"))
    }
}

/// Returns whether an answer about an order names another second, and another third, account
/// number than its payment sends. Where that sends none, none can be another one.
pub(super) fn are_others_in(answer: &Answer, order: &Order) -> [bool; 2] {
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

/// The reference code, product and account number that an inquiry named.
type Named<'a> = (&'a str, &'a ProductCode, &'a AccountNumber);

/// Returns true when an answer to a prepaid inquiry is that of a purchase: `querycode` may
/// have been ignored, and money spent.
pub(super) fn is_prepaid_sale(answer: &Answer, named: Named<'_>) -> bool {
    answer.inquiry_code.is_none() && shows_sale(answer) && may_be_sale_of(answer, named)
}

/// Returns true when an answer to a postpaid inquiry is that of a payment.
pub(super) fn is_payment(answer: &Answer, named: Named<'_>) -> bool {
    // Printed for payments only.
    let has_period = answer
        .fields
        .iter()
        .any(|(name, text)| name.eq_ignore_ascii_case("billingperiod") && !text.trim().is_empty());
    (has_period || shows_sale(answer)) && may_be_sale_of(answer, named)
}

/// Returns true for an answer with what only a purchase or payment has (API page,
/// section 3). A price that cannot be read is one all the same.
fn shows_sale(answer: &Answer) -> bool {
    let details = &answer.details;
    let is_unread = |(name, _): &(String, String)| name == "harga" || name == "balance";
    details.serial_number.is_some()
        || details.price.is_some_and(|price| price > Amount::ZERO)
        || details.balance.is_some()
        || details.unread.iter().any(is_unread)
}

/// Returns true when an answer is of no failure, of no inquiry, and not about another
/// one.
fn may_be_sale_of(answer: &Answer, (reference_code, product_code, number): Named<'_>) -> bool {
    let code = answer.status_code().map(StatusCode::number);
    code.is_some_and(|code| code < 200)
        && !answer.is_inquiry
        && !other_reference(answer.reference_code.as_ref(), reference_code)
        && !other(answer.product_code.as_ref(), product_code.as_str())
        // In any form: it is money.
        && !other_account(
            answer.account_number.as_ref(),
            number.as_str(),
            AccountNumberForms::Msisdn,
        )
}

/// Returns true for a text that stands for no number at all.
fn is_placeholder(named: &str) -> bool {
    named.bytes().all(|byte| b"-0".contains(&byte))
}

/// Returns true when a number is named, and it is not `ours`.
fn is_other_number(named: &str, ours: &str) -> bool {
    let names_nobody = ours.is_empty() && is_placeholder(named);
    !names_nobody && !named.eq_ignore_ascii_case(ours)
}

/// The same for a number of months, which may have leading zeros.
fn is_other_period(named: &str, ours: &str) -> bool {
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

/// Returns true when two texts are one Indonesian phone number, with or without the country
/// code, and a mobile number also with separators. It is the payer's, whom no form of the
/// number makes another one, so `account_number_forms` does not decide.
fn is_same_phone(one: &str, other: &str) -> bool {
    let national = |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        match digits.strip_prefix("62") {
            Some(rest) => format!("0{rest}"),
            None => digits.to_owned(),
        }
    };
    same_mobile(one, other) || national(one).eq_ignore_ascii_case(&national(other))
}

/// A postpaid inquiry.
#[derive(Clone, Debug)]
pub struct Question {
    /// OKEBAYAR's product code.
    pub product_code: ProductCode,
    /// Whose bill.
    pub customer: Customer,
    /// The payer's phone or e-mail address.
    pub contact_number: Verbatim,
    /// A reference of the caller's, if the product wants one.
    pub ref1: Option<Verbatim>,
}

/// What an inquiry found: all that the answer said.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is kept for the purchase or payment.
    pub inquiry: Inquiry,
    /// The reference code under which it was made.
    pub reference_code: String,
    /// `accnumber1` to `accnumber3`, as answered.
    pub account_numbers: [String; 3],
    /// The payer's phone or e-mail address, as answered.
    pub contact_number: String,
    /// What is owed, where it can be read.
    pub nominal: Option<Amount>,
    /// The fee on top of it, where it can be read.
    pub admin_fee: Option<Amount>,
    /// What is to be paid, where it can be told.
    pub total: Option<Amount>,
    /// Detail of an electricity token.
    pub pln_prepaid: Option<PlnPrepaid>,
    /// Detail of an electricity bill.
    pub pln_postpaid: Option<PlnPostpaid>,
    /// Whatever else came, in order.
    pub fields: Fields,
    /// The answer itself.
    pub answer: Answer,
}

/// How long an inquiry may be paid that does not say so readably: 30 minutes, says
/// the text of the API page.
const VALID_DEFAULT: SignedDuration = SignedDuration::from_mins(30);

/// Names that [`Found`] has a place for.
const PLACED: [&str; 17] = [
    "tracecode",
    "transactionstatus",
    "responsecode",
    "status",
    "productcode",
    "accnumber",
    "accnumber1",
    "accnumber2",
    "accnumber3",
    "contactnumber",
    "inquirycode",
    "ref1",
    "ref2",
    "ref3",
    "userid",
    "referencecode",
    "info",
];

/// Who asked, and when the answer came.
pub(super) struct Asked<'a> {
    pub account: &'a AccountName,
    pub reference_code: &'a str,
    pub now: Timestamp,
    pub forms: AccountNumberForms,
}

/// What the answer to a prepaid inquiry tells.
pub(super) fn found_prepaid(
    answer: Answer,
    asked: &Asked<'_>,
    product_code: &ProductCode,
    account_number: &AccountNumber,
) -> Result<Found, QueryError> {
    let about = (asked, product_code, account_number.as_str());
    let customer = Customer::Plain(account_number.clone());
    refuse_another(&answer, asked, customer.difference(&answer, ""))?;
    let customer = customer.identity();
    found(answer, about, |answer| {
        let inquired = InquiredData {
            refs: refs(answer)?,
            at: Some(asked.now),
            customer: customer.clone(),
            bill: None,
        };
        Ok((account_number.clone(), inquired))
    })
}

/// What the answer to a postpaid inquiry tells.
pub(super) fn found_postpaid(
    answer: Answer,
    asked: &Asked<'_>,
    question: &Question,
) -> Result<Found, QueryError> {
    let customer = &question.customer;
    let differs = customer.difference(&answer, question.contact_number.as_str());
    refuse_another(&answer, asked, differs)?;
    let about = (
        asked,
        &question.product_code,
        customer.account_number().as_str(),
    );
    found(answer, about, |answer| {
        let months = customer.months();
        let [one, two, three] = customer.account_numbers(&months);
        let text = |name, ours| {
            answer
                .verbatim(name)
                .map(|answered| Verbatim::new(answered.unwrap_or(ours)))
        };
        let two = match customer {
            Customer::Bpjs { payer_phone, .. } => Verbatim::new(payer_phone.as_str()),
            _ => text("accnumber2", two)?,
        };
        let bill = Bill {
            account_numbers: [text("accnumber1", one)?, two, text("accnumber3", three)?],
            contact_number: text("contactnumber", question.contact_number.as_str())?,
            nominal: text("nominal", "")?,
            admin_fee: text("adminfee", "")?,
        };
        let inquired = InquiredData {
            refs: refs(answer)?,
            at: Some(asked.now),
            customer: customer.identity(),
            bill: Some(bill),
        };
        Ok((customer.account_number().clone(), inquired))
    })
}

/// Refuses an answer about another customer. One that names our reference code is reported.
fn refuse_another(
    answer: &Answer,
    asked: &Asked<'_>,
    differs: Option<Mismatch>,
) -> Result<(), QueryError> {
    let named = answer.reference_code.as_ref();
    let names_us = named.is_some() && !other_reference(named, asked.reference_code);
    let ignored = match differs {
        None => return Ok(()),
        Some(differs) if names_us && differs != Mismatch::Transaction => Ignored::Differs(differs),
        Some(_) => Ignored::AboutAnother,
    };
    Err(QueryError::NoAnswer(ignored.into()))
}

fn refs(answer: &Answer) -> Result<[Option<Verbatim>; 3], Unreadable> {
    let one = |name| answer.verbatim(name).map(|text| text.map(Verbatim::new));
    Ok([one("ref1")?, one("ref2")?, one("ref3")?])
}

type About<'a> = (&'a Asked<'a>, &'a ProductCode, &'a str);

fn found(
    mut answer: Answer,
    (asked, product_code, account_number): About<'_>,
    order: impl Fn(&Answer) -> Result<(AccountNumber, InquiredData), Unreadable>,
) -> Result<Found, QueryError> {
    let unreadable = |error: Unreadable| QueryError::NoAnswer(NothingLearnt::Unreadable(error));
    if other_reference(answer.reference_code.as_ref(), asked.reference_code)
        || other(answer.product_code.as_ref(), product_code.as_str())
    {
        return Err(QueryError::NoAnswer(Ignored::AboutAnother.into()));
    }
    if other_account(answer.account_number.as_ref(), account_number, asked.forms) {
        let differs = Ignored::Differs(Mismatch::AccountNumber);
        return Err(QueryError::NoAnswer(differs.into()));
    }
    let code = answer.inquiry_code.as_deref().map(InquiryCode::parse);
    let Some(Ok(inquiry_code)) = code else {
        return Err(QueryError::Incomplete("inquirycode"));
    };
    let (account_number, inquired) = order(&answer).map_err(unreadable)?;
    let text = |name| answer.verbatim(name).map(Option::unwrap_or_default);
    let amount = |name| text(name).map(Quoted::read);
    let total = inquired.bill.as_ref().and_then(Bill::total);
    // A bill that names no fee has none; an answer without a bill has no fee to name.
    let fee_of_bill = inquired.bill.as_ref().and_then(Bill::fee);
    let account_numbers = [
        text("accnumber1").map_err(unreadable)?.to_owned(),
        text("accnumber2").map_err(unreadable)?.to_owned(),
        text("accnumber3").map_err(unreadable)?.to_owned(),
    ];
    let contact_number = text("contactnumber").map_err(unreadable)?.to_owned();
    let nominal = amount("nominal").map_err(unreadable)?;
    let admin_fee = amount("adminfee").map_err(unreadable)?;
    let fee = fee_of_bill.or_else(|| admin_fee.amount());
    let expires_at = answer
        .inquiry_expires
        .or_else(|| asked.now.checked_add(VALID_DEFAULT).ok());
    let mut fields = std::mem::take(&mut answer.fields);
    fields.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        let is_read = match name.as_str() {
            "inquiryexpired" => answer.inquiry_expires.is_some(),
            "transactiontime" | "responsetime" => answer.details.time.is_some(),
            "nominal" => nominal != Quoted::Unreadable,
            "adminfee" => admin_fee != Quoted::Unreadable,
            name => PLACED.contains(&name),
        };
        !is_read
    });
    Ok(Found {
        inquiry: Inquiry {
            account: asked.account.clone(),
            inquiry_code,
            expires_at: expires_at.unwrap_or(asked.now),
            order: Order {
                product_code: product_code.clone(),
                account_number,
                inquired: Some(inquired),
            },
        },
        reference_code: asked.reference_code.to_owned(),
        account_numbers,
        contact_number,
        nominal: nominal.amount(),
        admin_fee: fee,
        total,
        pln_prepaid: PlnPrepaid::take(&mut fields),
        pln_postpaid: PlnPostpaid::take(&mut fields),
        fields,
        answer,
    })
}
