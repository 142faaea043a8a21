//! Reads what the answer to an inquiry tells.

use jiff::{SignedDuration, Timestamp};

use super::result::InquiryResult;
use crate::{
    okebayar::{
        account_number::AccountNumberForms,
        answer::Answer,
        answer_error::AnswerError,
        fields::Unreadable,
        mismatch::Mismatch,
        pln::{PlnPostpaid, PlnPrepaid},
        query_error::QueryError,
        question::{Customer, Question},
        subject::{other, other_account, other_reference},
        verdict::Ignored,
    },
    transaction::{
        AccountName, AccountNumber, Bill, Inquired, Inquiry, InquiryCode, Order, ProductCode,
        Quoted, Verbatim,
    },
};

/// How long an inquiry may be paid that does not say so readably: 30 minutes, says
/// the text of the API page.
const VALID_DEFAULT: SignedDuration = SignedDuration::from_mins(30);

/// Names that [`InquiryResult`] has a place for.
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
pub(crate) struct InquiryContext<'a> {
    pub account: &'a AccountName,
    pub reference_code: &'a str,
    pub now: Timestamp,
    pub forms: AccountNumberForms,
}

/// What the answer to a prepaid inquiry tells.
pub(crate) fn read_prepaid(
    answer: Answer,
    asked: &InquiryContext<'_>,
    product_code: &ProductCode,
    account_number: &AccountNumber,
) -> Result<InquiryResult, QueryError> {
    let about = (asked, product_code, account_number.as_str());
    let customer = Customer::Plain(account_number.clone());
    refuse_another(&answer, asked, customer.difference(&answer, ""))?;
    let customer = customer.identity();
    found(answer, about, |answer| {
        let inquired = Inquired {
            refs: refs(answer)?,
            at: Some(asked.now),
            customer: customer.clone(),
            bill: None,
        };
        Ok((account_number.clone(), inquired))
    })
}

/// What the answer to a postpaid inquiry tells.
pub(crate) fn read_postpaid(
    answer: Answer,
    asked: &InquiryContext<'_>,
    question: &Question,
) -> Result<InquiryResult, QueryError> {
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
        let inquired = Inquired {
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
    asked: &InquiryContext<'_>,
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

type Expected<'a> = (&'a InquiryContext<'a>, &'a ProductCode, &'a str);

fn found(
    mut answer: Answer,
    (asked, product_code, account_number): Expected<'_>,
    order: impl Fn(&Answer) -> Result<(AccountNumber, Inquired), Unreadable>,
) -> Result<InquiryResult, QueryError> {
    let unreadable = |error: Unreadable| QueryError::NoAnswer(AnswerError::Unreadable(error));
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
    Ok(InquiryResult {
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
