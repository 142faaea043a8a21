//! The observer of every answer: metrics, log lines, and the texts to the partner.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use super::{
    account_number::masked, answer::Answer, answer_error::AnswerError, mismatch::Mismatch,
    personal, phone_number, verdict,
};
use crate::{telemetry::Metrics, transaction::AccountName};

/// Who is told of what OKEBAYAR answers, beside whoever asked.
pub struct Observer {
    /// The name of the account.
    pub account: AccountName,
    /// Takes the texts to the partner.
    pub texts: InfoSender,
    /// Takes times and results.
    pub metrics: Metrics,
    /// OKEBAYAR's host and port.
    pub server: (String, u16),
}

/// Takes OKEBAYAR's texts to the partner (`info`), each with the account that was told.
pub type InfoSender = mpsc::Sender<(AccountName, String)>;

impl Observer {
    pub(super) fn observe(
        &self,
        operation: &'static str,
        answer: &Result<Answer, AnswerError>,
        took: Duration,
        asked: &[String],
    ) {
        let result = match answer {
            Ok(answer) if answer.names_another_member => "another_member",
            Ok(answer) => answer.status_code().map_or("no_status", verdict::class),
            Err(nothing) => nothing.kind(),
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
                "answer is for another member and proves nothing; if OKEBAYAR masks the userid, \
                 set accounts.<name>.verify_userid = false"
            );
            self.metrics.another_member(&self.account, operation);
            // Its deposit and its texts are not ours.
            return;
        }
        if let Some(balance) = answer.details.balance {
            self.metrics.balance(&self.account, balance);
        }
        if let Some(info) = &answer.details.info {
            self.tell(info, answer, asked);
        }
    }

    /// that; one too many at once is lost.
    fn tell(&self, info: &str, answer: &Answer, asked: &[String]) {
        if personal::is_about_one(info, answer, asked) {
            self.metrics.notice(&self.account, "about_customer");
            return;
        }
        let text = (self.account.clone(), info.to_owned());
        if self.texts.try_send(text).is_err() {
            self.metrics.notice(&self.account, "lost");
        }
    }

    /// Reports an answer that names another account number, product or inquiry than was asked
    /// about.
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
                "answer names another accnumber than was asked about and proves nothing; if it \
                 is the same mobile number in another form, set \
                 accounts.<name>.account_number_forms = \"msisdn\""
            );
        } else if differs != Mismatch::ProductCode {
            warn!(
                account = %self.account,
                operation,
                field = differs.field(),
                named = differs.named(answer).as_deref().map(shortened),
                "answer names another customer or inquiry than was asked about and proves \
                 nothing; ask OKEBAYAR with the trace code"
            );
        } else {
            warn!(
                account = %self.account,
                operation,
                productcode = answer.product_code.as_deref().map(shortened),
                "answer names another productcode than was asked about and proves nothing; ask \
                 OKEBAYAR for the product code that its answers name, and buy that"
            );
        }
    }
}

/// Returns as much of a text as a log line needs.
fn shortened(text: &str) -> String {
    text.chars().take(USER_ID_CHARS_MAX).collect()
}

/// The longest user id or product code that is logged, in characters.
const USER_ID_CHARS_MAX: usize = 64;
