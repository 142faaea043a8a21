//! The status check.

use crate::{
    okebayar::{
        answer_error::AnswerError,
        client::Client,
        requests,
        subject::Subject,
        verdict::{self, Ignored, ReferenceStatus},
    },
    transaction::{InquiriesMade, Statement, Transaction},
};

impl Client {
    /// Checks the status of a transaction. `inquired` are the inquiries under its reference code.
    ///
    /// # Errors
    /// [`AnswerError`] when there is no answer, or it proves nothing about the transaction.
    pub async fn check(
        &self,
        transaction: &Transaction,
        inquired: &InquiriesMade,
    ) -> Result<Statement, AnswerError> {
        let trace_code = transaction.status().trace_code;
        let body = requests::check(&self.account, transaction, trace_code.as_ref());
        let answer = self.ask(body).await?;
        let lists = &self.account.code_lists;
        let subject = Subject {
            transaction,
            inquired,
        };
        let ignored = match verdict::of_check(&answer, subject, lists) {
            Ok(statement) => return Ok(statement),
            Err(ignored) => ignored,
        };
        let shown = verdict::of_ignored_check(&answer, lists, ignored);
        if let Ignored::Differs(differs) = ignored {
            let ours = transaction.order().account_number.as_str();
            self.report_difference("check", differs, &answer, ours);
            return shown.ok_or(ignored.into());
        }
        // A receipt is stored once: it settles nothing (promise 16).
        match shown.filter(|_| !transaction.evidence().shows_receipt()) {
            Some(shown) => Ok(shown),
            None if verdict::shows_no_sign(&answer, lists, ignored) => {
                Err(AnswerError::NoSign(ignored))
            }
            None => Err(ignored.into()),
        }
    }

    /// Checks the status of a reference code that the store does not know, in exactly this form.
    ///
    /// # Errors
    /// [`AnswerError`] when there is no answer, or it is about something else.
    pub async fn check_unknown(
        &self,
        reference_code: &str,
    ) -> Result<ReferenceStatus, AnswerError> {
        let body = requests::check_unknown(&self.account, reference_code);
        let answer = self.ask(body).await?;
        Ok(verdict::of_unknown(&answer, reference_code)?)
    }
}
