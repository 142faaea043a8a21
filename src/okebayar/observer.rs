//! The observer of every answer: it records metrics, writes log lines, and forwards texts for the
//! partner.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use super::{
    account_number::masked, answer::Answer, answer_error::AnswerError, mismatch::Mismatch,
    personal, phone_number, verdict,
};
use crate::{telemetry::Metrics, transaction::AccountName};

/// The observer of all answers to one account.
pub struct Observer {
    /// The name of the account.
    pub account: AccountName,
    /// Receives the texts for the partner.
    pub texts: InfoSender,
    /// Records durations and results.
    pub metrics: Metrics,
    /// OKEBAYAR's host and port.
    pub server: (String, u16),
}

/// The sending half of a queue of OKEBAYAR's texts for the partner (`info`), each with the account
/// that received it.
pub type InfoSender = mpsc::Sender<(AccountName, String)>;

impl Observer {
    /// Records the result of an operation, its balance, and its text for the partner. `personal`
    /// are the values in the request that identify a customer.
    pub(super) fn observe(
        &self,
        operation: &'static str,
        answer: &Result<Answer, AnswerError>,
        took: Duration,
        personal: &[String],
    ) {
        let result = match answer {
            Ok(answer) if answer.names_another_member => "another_member",
            Ok(answer) => answer.status_code().map_or("no_status", verdict::class),
            Err(error) => error.kind(),
        };
        self.metrics
            .operation(&self.account, operation, result, took);
        let Ok(answer) = answer else {
            return;
        };
        if answer.names_another_member {
            warn!(
                account = %self.account,
                operation,
                userid = answer.user_id.as_deref().map(shortened),
                "answer names another member; it proves nothing; if OKEBAYAR masks the userid, set \
                 accounts.<name>.verify_userid = false"
            );
            self.metrics.another_member(&self.account, operation);
            // The balance and the text belong to the other member.
            return;
        }
        if let Some(balance) = answer.details.balance {
            self.metrics.balance(&self.account, balance);
        }
        if let Some(info) = &answer.details.info {
            self.forward(info, answer, personal);
        }
    }

    /// Forwards a text for the partner, unless it is about one customer. Never blocks: a text that
    /// does not fit into the queue is lost, and counted.
    fn forward(&self, info: &str, answer: &Answer, personal: &[String]) {
        if personal::identifies_customer(info, answer, personal) {
            self.metrics.notice(&self.account, "about_customer");
            return;
        }
        let text = (self.account.clone(), info.to_owned());
        if self.texts.try_send(text).is_err() {
            self.metrics.notice(&self.account, "lost");
        }
    }

    /// Counts and logs an answer whose account number, product or inquiry differs from the request.
    pub(super) fn differs(
        &self,
        operation: &'static str,
        differs: Mismatch,
        answer: &Answer,
        account_number: &str,
    ) {
        self.metrics.difference(&self.account, differs.field());
        let named = answer.account_number.as_deref();
        if let (Mismatch::AccountNumber, Some(named)) = (differs, named) {
            warn!(
                account = %self.account,
                operation,
                named = masked(named),
                asked = masked(account_number),
                is_same_mobile_number = phone_number::same_mobile(named, account_number),
                "answer names another accnumber than the request; it proves nothing; if it is the \
                 same mobile number in another form, set \
                 accounts.<name>.account_number_forms = \"msisdn\""
            );
        } else if differs != Mismatch::ProductCode {
            warn!(
                account = %self.account,
                operation,
                field = differs.field(),
                named = differs.named(answer).as_deref().map(shortened),
                "answer names another customer or inquiry than the request; it proves nothing; \
                 ask OKEBAYAR, and give the trace code"
            );
        } else {
            warn!(
                account = %self.account,
                operation,
                productcode = answer.product_code.as_deref().map(shortened),
                "answer names another productcode than the request; it proves nothing; ask \
                 OKEBAYAR for the product code that its answers name, and buy that"
            );
        }
    }
}

/// Cuts a text to the length that a log line shows.
fn shortened(text: &str) -> String {
    text.chars().take(USER_ID_CHARS_MAX).collect()
}

/// The maximum length of a logged user id or product code, in characters.
const USER_ID_CHARS_MAX: usize = 64;
