//! One account as OKEBAYAR knows it: its credentials, and how it talks.

use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::{
    answer::Answer,
    code_lists::CodeLists,
    fields::{Fields, Unreadable},
    format::{self, Format},
    interpret::{self, AnswerContext},
    redact::RequestSecrets,
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
    /// JSON writes amounts as numbers.
    pub json_numbers: bool,
    /// An answer that names another member proves nothing.
    pub verify_user_id: bool,
    /// The zone of OKEBAYAR's times.
    pub zone: TimeZone,
}

/// Who asks: one account's credentials. `Debug` hides the PIN.
#[derive(Debug)]
pub struct Credentials {
    /// The member id.
    pub user_id: String,
    /// The PIN, which never reaches a log (promise 15).
    pub pin: SecretString,
}

/// What the operations are called on the wire (API page, 3.1).
#[derive(Clone, Debug)]
pub struct TransactionCodes {
    /// A prepaid purchase, and with a query code a prepaid inquiry.
    pub prepaid: String,
    /// A postpaid inquiry.
    pub inquiry: String,
    /// A postpaid payment.
    pub payment: String,
    /// A status check.
    pub check: String,
    /// The deposit.
    pub balance: String,
    /// A test of the connection.
    pub echo: String,
}

impl Account {
    pub(super) fn read(
        &self,
        body: Vec<u8>,
        secrets: &RequestSecrets,
    ) -> Result<Answer, Unreadable> {
        let fields = format::read_answer(&body)?;
        drop(body);
        self.interpret(fields, secrets)
    }

    pub(super) fn interpret(
        &self,
        fields: Fields,
        secrets: &RequestSecrets,
    ) -> Result<Answer, Unreadable> {
        let user_id = self.credentials.user_id.as_str();
        let reading = AnswerContext {
            zone: &self.zone,
            secrets,
            member: self.verify_user_id.then_some(user_id),
        };
        interpret::interpret_for(fields, &reading)
    }
}
