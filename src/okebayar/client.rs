//! One OKEBAYAR account: purchases and status checks, as statements.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{
    answer::{self, Answer, Unreadable},
    format::Format,
    request::{self, Body, Credentials, TransactionCodes},
    transport::{Transport, TransportError},
    verdict::{self, CodeLists, Ignored},
};
use crate::{
    store::SendPermit,
    transaction::{Finding, NotSent, Source, Statement, Transaction, Unknown},
};

/// How one account talks to OKEBAYAR. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Account {
    /// In which format it talks.
    pub format: Format,
    /// Who asks.
    pub credentials: Credentials,
    /// What the operations are called.
    pub transaction_codes: TransactionCodes,
    /// Codes whose meaning only this deployment knows.
    pub code_lists: CodeLists,
    /// The zone of OKEBAYAR's times.
    pub zone: TimeZone,
}

/// Talks to OKEBAYAR for one account.
pub struct Client {
    account: Account,
    transport: Arc<dyn Transport>,
}

/// What became of a purchase's POST, and a word for the log.
pub struct Outcome {
    /// What it proves.
    pub statement: Statement,
    /// What went wrong, if anything did; holds no secret.
    pub problem: Option<String>,
}

/// Why a status check brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum NothingLearnt {
    /// No answer.
    #[error("{0}")]
    NoAnswer(#[from] TransportError),
    /// An HTTP status outside 2xx.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// An answer that cannot be read.
    #[error("the answer is unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    /// An answer that says nothing about the transaction.
    #[error("the answer was ignored: {0}")]
    Ignored(#[from] Ignored),
}

impl Client {
    /// A client of one account.
    #[must_use]
    pub fn new(account: Account, transport: Arc<dyn Transport>) -> Self {
        Self { account, transport }
    }

    /// Sends the purchase that `permit` allows, once. Whatever happens is a
    /// statement: an unknown outcome is not an error.
    pub async fn purchase(&self, permit: SendPermit) -> Outcome {
        let wanted = permit.into_transaction();
        let Account {
            format,
            credentials,
            transaction_codes,
            ..
        } = &self.account;
        let body = request::purchase(*format, credentials, transaction_codes, &wanted);
        let (source, finding, problem) = match self.ask(body).await {
            Ok(answer) => {
                let statement = verdict::of_purchase(&answer, &wanted, &self.account.code_lists);
                return Outcome {
                    statement,
                    problem: None,
                };
            }
            Err(NothingLearnt::NoAnswer(error)) => (
                Source::Gateway,
                unsent_or_unknown(&error, &wanted),
                error.to_string(),
            ),
            Err(NothingLearnt::HttpStatus(status)) => (
                Source::Answer,
                Finding::Unknown(Unknown::HttpStatus(status)),
                format!("HTTP status {status}"),
            ),
            Err(other) => (
                Source::Answer,
                Finding::Unknown(Unknown::Unreadable),
                other.to_string(),
            ),
        };
        Outcome {
            statement: Statement::bare(source, finding),
            problem: Some(problem),
        }
    }

    /// Asks for the status of a transaction.
    ///
    /// # Errors
    /// [`NothingLearnt`] when the answer does not say anything about it.
    pub async fn check(&self, asked: &Transaction) -> Result<Statement, NothingLearnt> {
        let Account {
            format,
            credentials,
            transaction_codes,
            code_lists,
            ..
        } = &self.account;
        let trace_code = asked.standing().trace_code;
        let body = request::check(
            *format,
            credentials,
            transaction_codes,
            asked,
            trace_code.as_ref(),
        );
        let answer = self.ask(body).await?;
        Ok(verdict::of_check(&answer, asked, code_lists)?)
    }

    /// Reads a callback's fields.
    ///
    /// # Errors
    /// [`Unreadable`] when they contradict each other.
    pub fn read_report(&self, fields: answer::Fields) -> Result<Answer, Unreadable> {
        answer::interpret(fields, &self.account.zone)
    }

    /// The codes whose meaning only this deployment knows.
    #[must_use]
    pub fn code_lists(&self) -> &CodeLists {
        &self.account.code_lists
    }

    async fn ask(&self, body: Body) -> Result<Answer, NothingLearnt> {
        let http = self.transport.post(body).await?;
        if !(200..300).contains(&http.status) {
            return Err(NothingLearnt::HttpStatus(http.status));
        }
        Ok(answer::interpret(
            self.account.format.read(&http.body)?,
            &self.account.zone,
        )?)
    }
}

fn unsent_or_unknown(error: &TransportError, wanted: &Transaction) -> Finding {
    match error {
        TransportError::NotSent(_) => Finding::NotSent {
            attempt: wanted.attempt(),
            why: NotSent::Unreachable,
        },
        TransportError::TimedOut => Finding::Unknown(Unknown::TimedOut),
        TransportError::Broken(_) => Finding::Unknown(Unknown::Broken),
        TransportError::TooLong(_) => Finding::Unknown(Unknown::Unreadable),
    }
}
