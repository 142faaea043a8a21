//! `AccountService`.

use tonic::{Request, Response, Status};

use super::{
    convert,
    error::{self, NO_SUCH_ACCOUNT, Violations},
    v1::{self, account_service_server::AccountService},
};
use crate::{gateway::Gateway, purchase::Sent, transaction::AccountName};

/// The longest message of an echo, in bytes.
const MESSAGE_BYTES_MAX: usize = 256;

/// Which accounts requests may name: the part that all services share.
#[derive(Clone)]
pub struct Accounts {
    pub(super) gateway: Gateway,
}

impl Accounts {
    /// The gateway's accounts; requests that name none get its default one.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }

    /// Returns the named account, or the default one.
    pub(super) fn or_default(&self, named: Option<AccountName>) -> AccountName {
        named.unwrap_or_else(|| self.gateway.accounts.default_account().clone())
    }

    /// Returns the account that answers a question: known, or a violation.
    pub(super) fn find(&self, name: &str, violations: &mut Violations) -> Option<AccountName> {
        if name.is_empty() {
            return Some(self.gateway.accounts.default_account().clone());
        }
        self.known("account", name, violations)
    }

    /// A configured account, or a violation of the field that names it.
    pub(super) fn known(
        &self,
        field: &str,
        name: &str,
        violations: &mut Violations,
    ) -> Option<AccountName> {
        let known = AccountName::parse(name)
            .ok()
            .and_then(|name| self.gateway.accounts.configured(&name));
        if known.is_none() {
            violations.add(field, NO_SUCH_ACCOUNT);
        }
        known
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn get_balance(
        &self,
        request: Request<v1::GetBalanceRequest>,
    ) -> Result<Response<v1::GetBalanceResponse>, Status> {
        let mut violations = Violations::default();
        let Some(account) = self.find(&request.into_inner().account, &mut violations) else {
            return Err(violations.into_status());
        };
        let asked = self.gateway.queries.balance(&account).await;
        let (balance, details) = asked.map_err(|error| error::of_question(&error, Sent::No))?;
        Ok(Response::new(v1::GetBalanceResponse {
            balance: Some(convert::money(balance)),
            response_time: details.time.map(convert::timestamp),
            trace_code: details
                .trace_code
                .map(|code| code.to_string())
                .unwrap_or_default(),
        }))
    }

    async fn echo(
        &self,
        request: Request<v1::EchoRequest>,
    ) -> Result<Response<v1::EchoResponse>, Status> {
        let v1::EchoRequest { account, message } = request.into_inner();
        let mut violations = Violations::default();
        let account = self.find(&account, &mut violations);
        let is_printable = message
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let is_trimmed = message.trim() == message;
        if message.is_empty() || message.len() > MESSAGE_BYTES_MAX || !is_printable || !is_trimmed {
            let problem = "it cannot be returned unchanged; give 1 to 256 printable ASCII \
                           characters, no blanks at the ends";
            violations.add("message", problem);
            return Err(violations.into_status());
        }
        let Some(account) = account else {
            return Err(violations.into_status());
        };
        let echoed = self.gateway.queries.echo(&account, &message).await;
        echoed.map_err(|error| error::of_question(&error, Sent::No))?;
        Ok(Response::new(v1::EchoResponse { message }))
    }
}
