//! The inquiries: before a prepaid purchase, and for a bill.

use jiff::Timestamp;

use super::question::verify_not_refused;
use crate::{
    okebayar::{
        account_number::AccountNumberForms,
        answer::Answer,
        answer_error::AnswerError,
        body::Body,
        client::Client,
        inquiry::{self, InquiryContext, InquiryResult},
        query_error::QueryError,
        question::Question,
        requests,
        verdict::Ignored,
    },
    transaction::{AccountName, AccountNumber, Details, ProductCode, StatusCode},
};

/// The account that inquires, and the clock.
#[derive(Clone, Copy)]
pub struct Inquirer<'a> {
    /// The account's name.
    pub account: &'a AccountName,
    /// The clock: the time of the answer counts.
    pub now: fn() -> Timestamp,
}

impl<'a> Inquirer<'a> {
    /// Builds the context in which an answer is read.
    fn context(
        self,
        reference_code: &'a str,
        now: Timestamp,
        forms: AccountNumberForms,
    ) -> InquiryContext<'a> {
        InquiryContext {
            account: self.account,
            reference_code,
            now,
            forms,
        }
    }
}

/// The status code and details of the answer to an inquiry, if there was one, and the result.
pub type InquiryReply = (
    Option<(StatusCode, Details)>,
    Result<InquiryResult, QueryError>,
);

impl Client {
    /// Inquires before a prepaid purchase.
    pub async fn inquire_prepaid(
        &self,
        reference_code: &str,
        product_code: &ProductCode,
        account_number: &AccountNumber,
        inquirer: Inquirer<'_>,
    ) -> InquiryReply {
        let body =
            requests::prepaid_inquiry(&self.account, reference_code, product_code, account_number);
        let read = |answer, now| {
            let context =
                inquirer.context(reference_code, now, self.account.code_lists.account_numbers);
            inquiry::read_prepaid(answer, &context, product_code, account_number)
        };
        let target = (reference_code, product_code, account_number);
        let is_sale = |answer: &Answer| inquiry::is_prepaid_sale(answer, target);
        self.inquire(body, account_number.as_str(), inquirer, is_sale, read)
            .await
    }

    /// Inquires for a bill.
    pub async fn inquire_postpaid(
        &self,
        reference_code: &str,
        question: &Question,
        inquirer: Inquirer<'_>,
    ) -> InquiryReply {
        let body = requests::postpaid_inquiry(&self.account, reference_code, question);
        let read = |answer, now| {
            let context =
                inquirer.context(reference_code, now, self.account.code_lists.account_numbers);
            inquiry::read_postpaid(answer, &context, question)
        };
        let account_number = question.customer.account_number();
        let target = (reference_code, &question.product_code, account_number);
        let is_sale = |answer: &Answer| inquiry::is_payment(answer, target);
        self.inquire(body, account_number.as_str(), inquirer, is_sale, read)
            .await
    }

    /// Sends an inquiry and reads its answer, unless that is the answer to a sale.
    async fn inquire(
        &self,
        body: Body,
        account_number: &str,
        inquirer: Inquirer<'_>,
        is_sale: impl Fn(&Answer) -> bool,
        read: impl Fn(Answer, Timestamp) -> Result<InquiryResult, QueryError>,
    ) -> InquiryReply {
        let operation = body.operation();
        let answer = match self.question(body).await {
            Ok(answer) => answer,
            Err(error) => return (None, Err(error)),
        };
        let Some(code) = answer.status_code() else {
            return (None, Err(QueryError::Incomplete("status")));
        };
        let answered = (code, answer.details.clone());
        if is_sale(&answer) {
            let sold = QueryError::SoldInstead(Box::new(answer));
            return (Some(answered), Err(sold));
        }
        let found =
            verify_not_refused(&answer).and_then(|()| read(answer.clone(), (inquirer.now)()));
        if let Err(QueryError::NoAnswer(AnswerError::Ignored(Ignored::Differs(differs)))) = &found {
            self.report_difference(operation, *differs, &answer, account_number);
        }
        (Some(answered), found)
    }
}
