//! Checks the status of a transaction.

use crate::{
    okebayar::{
        answer_error::AnswerError,
        client::Client,
        requests,
        subject::Subject,
        verdict::{self, Ignored, ReferenceStatus},
    },
    transaction::{InquiriesMade, ReferenceCode, Statement, Transaction},
};

impl Client {
    /// Asks for the status of a transaction, under whose reference code `inquired` was
    /// made as well.
    ///
    /// # Errors
    /// [`AnswerError`] when the answer does not say anything about it.
    pub async fn check(
        &self,
        asked: &Transaction,
        inquired: &InquiriesMade,
    ) -> Result<Statement, AnswerError> {
        let trace_code = asked.standing().trace_code;
        let body = requests::check(&self.account, asked, trace_code.as_ref());
        let answer = self.ask(body).await?;
        let (about, lists) = (asked, &self.account.code_lists);
        let asked = Subject {
            transaction: about,
            inquired,
        };
        let ignored = match verdict::of_check(&answer, asked, lists) {
            Ok(statement) => return Ok(statement),
            Err(ignored) => ignored,
        };
        let shown = verdict::of_ignored_check(&answer, lists, ignored);
        if let Ignored::Differs(differs) = ignored {
            let ours = about.order().account_number.as_str();
            self.report_difference("check", differs, &answer, ours);
            return shown.ok_or(ignored.into());
        }
        // Stored once: such an answer settles nothing (promise 16).
        match shown.filter(|_| !about.evidence().shows_receipt()) {
            Some(shown) => Ok(shown),
            None if verdict::shows_no_sign(&answer, lists, ignored) => {
                Err(AnswerError::NoSign(ignored))
            }
            None => Err(ignored.into()),
        }
    }

    /// Asks for the status of a reference code of which nothing else is known.
    ///
    /// # Errors
    /// [`AnswerError`] when the answer does not say anything about it.
    pub async fn check_unknown(
        &self,
        reference_code: &ReferenceCode,
    ) -> Result<ReferenceStatus, AnswerError> {
        let body = requests::check_unknown(&self.account, reference_code.as_str());
        let answer = self.ask(body).await?;
        Ok(verdict::of_unknown(&answer, reference_code.as_str())?)
    }
}
