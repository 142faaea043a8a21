//! The settings of one OKEBAYAR account: credentials, format, and the names of operations.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::{
    answer::Answer,
    deployment_codes::CodeLists,
    fields::{Fields, Unreadable},
    format::{self, Format},
    interpret::{self, AnswerContext},
    redact::RequestSecrets,
};
use crate::transaction::reference_to_send;

/// One OKEBAYAR account. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct Account {
    /// The format of requests.
    pub format: Format,
    /// The credentials of requests.
    pub credentials: Credentials,
    /// The wire names of the operations.
    pub transaction_codes: TransactionCodes,
    /// Codes and account number forms whose meaning depends on the deployment.
    pub code_lists: CodeLists,
    /// Writes amounts in JSON as numbers.
    pub json_numbers: bool,
    /// Sends new reference codes without hyphens.
    pub omits_hyphens: bool,
    /// Rejects answers that name another member: they prove nothing.
    pub verify_user_id: bool,
    /// The time zone of OKEBAYAR's times.
    pub zone: TimeZone,
}

/// The credentials of one account. `Debug` hides the PIN.
#[derive(Debug)]
pub struct Credentials {
    /// The member id.
    pub user_id: String,
    /// The PIN, which never reaches a log (promise 15).
    pub pin: SecretString,
}

/// The `transactioncode` of each operation (docs/OKEBAYAR.md, section 3.1).
#[derive(Clone, Debug)]
pub struct TransactionCodes {
    /// A prepaid purchase; with a `querycode`, a prepaid inquiry.
    pub prepaid: String,
    /// A postpaid inquiry.
    pub inquiry: String,
    /// A postpaid payment.
    pub payment: String,
    /// A status check.
    pub check: String,
    /// The balance of the deposit.
    pub balance: String,
    /// A test of the connection.
    pub echo: String,
}

impl Account {
    /// Returns a reference code of no transaction in the form that this account sends.
    pub(super) fn reference_to_send<'a>(&self, code: &'a str) -> Cow<'a, str> {
        reference_to_send(code, self.omits_hyphens)
    }

    /// Parses the body of an answer, without the secrets of its request.
    pub(super) fn parse(
        &self,
        body: Vec<u8>,
        secrets: &RequestSecrets,
    ) -> Result<Answer, Unreadable> {
        let fields = format::read_answer(&body)?;
        drop(body);
        self.interpret(fields, secrets)
    }

    /// Gives meaning to the names and texts of an answer or callback, without `secrets`.
    pub(super) fn interpret(
        &self,
        fields: Fields,
        secrets: &RequestSecrets,
    ) -> Result<Answer, Unreadable> {
        let user_id = self.credentials.user_id.as_str();
        let context = AnswerContext {
            zone: &self.zone,
            secrets,
            member: self.verify_user_id.then_some(user_id),
        };
        interpret::interpret_for(fields, &context)
    }
}
