//! One OKEBAYAR account: purchases and status checks, as statements.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{
    answer::{self, Answer, Unreadable},
    format::Format,
    request::{self, Body, Credentials, TransactionCodes},
    transport::{Transport, TransportError},
    verdict::{self, CodeLists, Ignored, Refusal},
};
use crate::{
    store::SendPermit,
    transaction::{
        Amount, Details, Finding, NotSent, Source, Statement, StatusCode, Transaction, Unknown,
    },
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

/// Why a question that moves no money has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No usable answer came.
    #[error("{0}")]
    NoAnswer(NothingLearnt),
    /// OKEBAYAR refused.
    #[error("OKEBAYAR answered {code}: {}", code.meaning())]
    Refused {
        /// Its status code.
        code: StatusCode,
        /// What the caller can do.
        refusal: Refusal,
    },
    /// The answer lacks what was asked for.
    #[error("OKEBAYAR's answer has no {0}")]
    Incomplete(&'static str),
    /// An echo returned something else.
    #[error("OKEBAYAR returned another message")]
    OtherMessage,
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
        let body = request::purchase(&self.account, &wanted);
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
        let trace_code = asked.standing().trace_code;
        let body = request::check(&self.account, asked, trace_code.as_ref());
        let answer = self.ask(body).await?;
        Ok(verdict::of_check(&answer, asked, &self.account.code_lists)?)
    }

    /// Asks for the deposit, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when there is no answer that holds a balance.
    pub async fn balance(&self, reference_code: &str) -> Result<(Amount, Details), QueryError> {
        let body = request::balance(&self.account, reference_code);
        let details = self.query(body).await?.details;
        let balance = details.balance.ok_or(QueryError::Incomplete("balance"))?;
        Ok((balance, details))
    }

    /// Has a message returned, under a reference code of the gateway's own.
    ///
    /// # Errors
    /// [`QueryError`] when it does not come back as it was.
    pub async fn echo(&self, reference_code: &str, message: &str) -> Result<(), QueryError> {
        let body = request::echo(&self.account, reference_code, message);
        let answer = self.ask(body).await.map_err(QueryError::NoAnswer)?;
        // An echo's answer has no status printed, but a refusal has one.
        refused(&answer)?;
        match answer.message {
            Some(returned) if returned == message => Ok(()),
            Some(_) => Err(QueryError::OtherMessage),
            None => Err(QueryError::Incomplete("message")),
        }
    }

    async fn query(&self, body: Body) -> Result<Answer, QueryError> {
        let answer = self.ask(body).await.map_err(QueryError::NoAnswer)?;
        if answer.status_code().is_none() {
            return Err(QueryError::Incomplete("status"));
        }
        refused(&answer)?;
        Ok(answer)
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

fn refused(answer: &Answer) -> Result<(), QueryError> {
    let Some(code) = answer.status_code() else {
        return Ok(());
    };
    verdict::of_query(code).map_err(|refusal| QueryError::Refused { code, refusal })
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
