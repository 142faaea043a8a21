//! The reader of answers to inquiries.

use jiff::{SignedDuration, Timestamp};

use super::result::InquiryResult;
use crate::{
    okebayar::{
        account_number::AccountNumberForms,
        answer::Answer,
        answer_error::AnswerError,
        fields::{Fields, Unreadable},
        mismatch::Mismatch,
        pln::{PlnPostpaid, PlnPrepaid},
        query_error::QueryError,
        question::{Customer, Question},
        subject::{other, other_account, other_reference},
        verdict::Ignored,
    },
    transaction::{
        AccountName, AccountNumber, Bill, InquiredData, Inquiry, InquiryCode, Order, ProductCode,
        Quoted, Verbatim,
    },
};

/// The validity of an inquiry without a readable `inquiryexpired` (docs/OKEBAYAR.md, section 3).
const VALID_DEFAULT: SignedDuration = SignedDuration::from_mins(30);

/// The names that [`InquiryResult`] has a typed place for.
const TYPED: [&str; 17] = [
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

/// The account and reference code of an inquiry, the time of its answer, and the accepted forms of
/// account numbers.
pub(crate) struct InquiryContext<'a> {
    pub account: &'a AccountName,
    pub reference_code: &'a str,
    pub now: Timestamp,
    pub forms: AccountNumberForms,
}

/// Reads the answer to a prepaid inquiry.
///
/// # Errors
/// [`QueryError`] when the answer is about something else, has no inquiry code, or is unreadable.
pub(crate) fn read_prepaid(
    answer: Answer,
    context: &InquiryContext<'_>,
    product_code: &ProductCode,
    account_number: &AccountNumber,
) -> Result<InquiryResult, QueryError> {
    let expected = Expected {
        context,
        product_code,
        account_number: account_number.as_str(),
    };
    let customer = Customer::Plain(account_number.clone());
    reject_another(&answer, context, customer.difference(&answer, ""))?;
    let customer = customer.identity();
    build_result(answer, &expected, |answer| {
        let inquired = InquiredData {
            refs: refs(answer)?,
            at: Some(context.now),
            customer: customer.clone(),
            bill: None,
        };
        Ok((account_number.clone(), inquired))
    })
}

/// Reads the answer to a postpaid inquiry.
///
/// # Errors
/// [`QueryError`] when the answer is about something else, has no inquiry code, or is unreadable.
pub(crate) fn read_postpaid(
    answer: Answer,
    context: &InquiryContext<'_>,
    question: &Question,
) -> Result<InquiryResult, QueryError> {
    let customer = &question.customer;
    let differs = customer.difference(&answer, question.contact_number.as_str());
    reject_another(&answer, context, differs)?;
    let expected = Expected {
        context,
        product_code: &question.product_code,
        account_number: customer.account_number().as_str(),
    };
    build_result(answer, &expected, |answer| {
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
            at: Some(context.now),
            customer: customer.identity(),
            bill: Some(bill),
        };
        Ok((customer.account_number().clone(), inquired))
    })
}

/// Rejects an answer about another customer. If it names our reference code, the error names the
/// field, so that the caller reports it.
fn reject_another(
    answer: &Answer,
    context: &InquiryContext<'_>,
    differs: Option<Mismatch>,
) -> Result<(), QueryError> {
    let named = answer.reference_code.as_ref();
    let names_us = named.is_some() && !other_reference(named, context.reference_code);
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

/// The question that an answer must be about.
struct Expected<'a> {
    context: &'a InquiryContext<'a>,
    product_code: &'a ProductCode,
    account_number: &'a str,
}

impl Expected<'_> {
    /// Rejects an answer about another reference code, product or account number.
    fn verify(&self, answer: &Answer) -> Result<(), Ignored> {
        let forms = self.context.forms;
        if other_reference(answer.reference_code.as_ref(), self.context.reference_code)
            || other(answer.product_code.as_ref(), self.product_code.as_str())
        {
            return Err(Ignored::AboutAnother);
        }
        if other_account(answer.account_number.as_ref(), self.account_number, forms) {
            return Err(Ignored::Differs(Mismatch::AccountNumber));
        }
        Ok(())
    }
}

/// Builds the result of an inquiry. `order` reads what the purchase or payment sends.
fn build_result(
    mut answer: Answer,
    expected: &Expected<'_>,
    order: impl Fn(&Answer) -> Result<(AccountNumber, InquiredData), Unreadable>,
) -> Result<InquiryResult, QueryError> {
    let unreadable = |error: Unreadable| QueryError::NoAnswer(AnswerError::Unreadable(error));
    let context = expected.context;
    expected
        .verify(&answer)
        .map_err(|ignored| QueryError::NoAnswer(ignored.into()))?;
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
    let expires_at = answer
        .inquiry_expires
        .or_else(|| context.now.checked_add(VALID_DEFAULT).ok());
    let mut fields = remaining_fields(&mut answer, nominal, admin_fee);
    Ok(InquiryResult {
        inquiry: Inquiry {
            account: context.account.clone(),
            inquiry_code,
            expires_at: expires_at.unwrap_or(context.now),
            order: Order {
                product_code: expected.product_code.clone(),
                account_number,
                inquired: Some(inquired),
            },
        },
        reference_code: context.reference_code.to_owned(),
        account_numbers,
        contact_number,
        nominal: nominal.amount(),
        admin_fee: fee_of_bill.or_else(|| admin_fee.amount()),
        total,
        pln_prepaid: PlnPrepaid::take(&mut fields),
        pln_postpaid: PlnPostpaid::take(&mut fields),
        fields,
        answer,
    })
}

/// Takes the fields of an answer that [`InquiryResult`] has no typed place for, or whose value is
/// unreadable.
fn remaining_fields(answer: &mut Answer, nominal: Quoted, admin_fee: Quoted) -> Fields {
    let mut fields = std::mem::take(&mut answer.fields);
    fields.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        let is_typed = match name.as_str() {
            "inquiryexpired" => answer.inquiry_expires.is_some(),
            "transactiontime" | "responsetime" => answer.details.time.is_some(),
            "nominal" => nominal != Quoted::Unreadable,
            "adminfee" => admin_fee != Quoted::Unreadable,
            name => TYPED.contains(&name),
        };
        !is_typed
    });
    fields
}
