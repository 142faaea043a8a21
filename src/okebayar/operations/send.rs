//! The purchase or payment: one POST, and the statement of its outcome.

use crate::{
    okebayar::{
        answer_error::AnswerError, client::Client, requests, send_by::SendBy,
        transport::TransportError, verdict,
    },
    store::SendPermit,
    transaction::{Finding, NotSent, Source, Statement, Transaction, UnknownCause},
};

/// The outcome of the POST of a purchase or payment.
pub struct SendOutcome {
    /// The statement that the outcome proves.
    pub statement: Statement,
    /// The fault, for the log; `None` without one. It holds no secret.
    pub problem: Option<String>,
}

impl Client {
    /// Sends the purchase or payment that `permit` allows, once. Every outcome is a statement: an
    /// unknown outcome is not an error.
    ///
    /// After `send_by` nothing is sent, and the outcome is NOT_SENT.
    pub async fn send(&self, permit: SendPermit, send_by: SendBy) -> SendOutcome {
        let wanted = permit.into_transaction();
        let body = requests::order(&self.account, &wanted).sent_by(send_by);
        let operation = body.operation();
        let (source, finding, problem) = match self.ask(body).await {
            Ok(answer) => {
                let lists = &self.account.code_lists;
                let statement = verdict::of_purchase(&answer, &wanted, lists);
                if let Some(differs) = verdict::difference(&answer, &wanted, lists) {
                    let ours = wanted.order().account_number.as_str();
                    self.report_difference(operation, differs, &answer, ours);
                }
                return SendOutcome {
                    statement,
                    problem: None,
                };
            }
            Err(AnswerError::NoAnswer(error)) => (
                Source::Gateway,
                unsent_or_unknown(&error, &wanted),
                error.to_string(),
            ),
            Err(AnswerError::HttpStatus(status)) => (
                Source::Answer,
                Finding::Unknown(UnknownCause::HttpStatus(status)),
                format!("HTTP status {status}"),
            ),
            Err(other) => (
                Source::Answer,
                Finding::Unknown(UnknownCause::Unreadable),
                other.to_string(),
            ),
        };
        SendOutcome {
            statement: Statement::bare(source, finding),
            problem: Some(problem),
        }
    }
}

/// Derives the finding of a transport error: NOT_SENT only where that is provable.
fn unsent_or_unknown(error: &TransportError, wanted: &Transaction) -> Finding {
    match error {
        TransportError::NotSent(_) => Finding::NotSent {
            attempt: wanted.attempt(),
            why: NotSent::Unreachable,
        },
        TransportError::TooLate => Finding::NotSent {
            attempt: wanted.attempt(),
            why: NotSent::Overloaded,
        },
        TransportError::TimedOut => Finding::Unknown(UnknownCause::TimedOut),
        TransportError::Broken(_) => Finding::Unknown(UnknownCause::Broken),
        TransportError::TooLong(_) => Finding::Unknown(UnknownCause::Unreadable),
    }
}
