//! The client of one OKEBAYAR account: one request, one parsed answer, traced and observed. Its
//! operations are in `operations/`, one file for each.

use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, OTEL_STATUS_CODE, SERVER_ADDRESS,
    SERVER_PORT,
};
use std::{sync::Arc, time::Instant};

use tracing::{Instrument, Span, info, info_span};

use super::{
    account::{Account, Credentials},
    answer::Answer,
    answer_error::AnswerError,
    body::Body,
    deployment_codes::CodeLists,
    fields::{Fields, Unreadable},
    mismatch::Mismatch,
    observer::Observer,
    parse_permits::ParsePermits,
    redact::RequestSecrets,
    requests,
    signature::sign,
    transport::Transport,
};
use crate::transaction::Order;

/// The longest answer that is parsed on the thread that received it, in bytes.
const LONG_BYTES: usize = 16 * 1024;

/// A client of one OKEBAYAR account.
pub struct Client {
    pub(super) account: Arc<Account>,
    transport: Arc<dyn Transport>,
    observer: Option<Observer>,
    parse_permits: ParsePermits,
}

impl Client {
    /// Builds a client of one account, which shares no parse permits with other clients.
    #[must_use]
    pub fn new(account: Account, transport: Arc<dyn Transport>) -> Self {
        Self {
            account: Arc::new(account),
            transport,
            observer: None,
            parse_permits: ParsePermits::default(),
        }
    }

    /// Shares parse permits with the other clients of the process.
    #[must_use]
    pub fn with_parse_permits(mut self, parse_permits: ParsePermits) -> Self {
        self.parse_permits = parse_permits;
        self
    }

    /// Reports every answer to an observer.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        observer.metrics.await_another_member(&observer.account);
        observer.metrics.await_inquiry_sold(&observer.account);
        let fields = Mismatch::ALONE.map(Mismatch::field);
        observer.metrics.await_difference(&observer.account, fields);
        self.observer = Some(observer);
        self
    }

    /// Gives meaning to the names and texts of a callback.
    ///
    /// # Errors
    /// [`Unreadable`] when two of them contradict each other.
    pub fn read_report(&self, fields: Fields) -> Result<Answer, Unreadable> {
        let Credentials { user_id, pin } = &self.account.credentials;
        let about = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("referencecode"));
        let reference_code = about.map_or("", |(_, code)| code.trim());
        let secrets = RequestSecrets::new(pin.clone(), sign(user_id, pin, reference_code));
        self.account.interpret(fields, &secrets)
    }

    /// Counts and logs an answer about our reference code whose account number, product or inquiry
    /// is not ours. That difference alone makes it prove nothing.
    pub fn report_difference(
        &self,
        operation: &'static str,
        differs: Mismatch,
        answer: &Answer,
        account_number: &str,
    ) {
        if let Some(observer) = &self.observer {
            observer.differs(operation, differs, answer, account_number);
        }
    }

    /// Returns the name of a text that cannot be sent back verbatim; `None` without one.
    #[must_use]
    pub fn unsendable(&self, order: &Order) -> Option<&'static str> {
        requests::unsendable(&self.account, order)
    }

    /// Returns true when the account sends new reference codes without hyphens.
    #[must_use]
    pub fn omits_hyphens(&self) -> bool {
        self.account.omits_hyphens
    }

    /// Returns the codes whose meaning depends on the deployment.
    #[must_use]
    pub fn code_lists(&self) -> &CodeLists {
        &self.account.code_lists
    }

    /// Posts a body once, and parses its answer. Records the result in a span and reports it to the
    /// observer.
    pub(super) async fn ask(&self, body: Body) -> Result<Answer, AnswerError> {
        let (operation, began) = (body.operation(), Instant::now());
        let (span, personal) = (self.span(&body), body.personal().to_vec());
        let answer = self.exchange(body).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => {
                if answer.status.is_some() {
                    let code = answer.status_code().map(|code| code.to_string());
                    span.record("okebayar.status", code.as_deref().unwrap_or(OTHER_STATUS));
                }
                span.record(HTTP_RESPONSE_STATUS_CODE, 200);
            }
            Err(error) => {
                if let AnswerError::HttpStatus(status) = error {
                    span.record(HTTP_RESPONSE_STATUS_CODE, status);
                }
                span.record(ERROR_TYPE, error.kind());
                span.record(OTEL_STATUS_CODE, "ERROR");
            }
        }
        if let Some(observer) = &self.observer {
            observer.observe(operation, &answer, began.elapsed(), &personal);
        }
        answer
    }

    /// Builds the HTTP client span of one POST.
    fn span(&self, body: &Body) -> Span {
        let observer = self.observer.as_ref();
        let server = observer.map(|observer| &observer.server);
        info_span!(
            "POST",
            otel.kind = "client",
            { OTEL_STATUS_CODE } = tracing::field::Empty,
            { HTTP_REQUEST_METHOD } = "POST",
            { HTTP_RESPONSE_STATUS_CODE } = tracing::field::Empty,
            { SERVER_ADDRESS } = server.map(|server| server.0.as_str()),
            { SERVER_PORT } = server.map(|server| server.1),
            { ERROR_TYPE } = tracing::field::Empty,
            okebayar.account = observer.map(|observer| observer.account.as_str()),
            okebayar.transactioncode = body.transaction_code(),
            okebayar.productcode = body.product_code(),
            okebayar.status = tracing::field::Empty,
        )
    }

    /// Posts a body once, and parses its answer under a permit.
    async fn exchange(&self, body: Body) -> Result<Answer, AnswerError> {
        let secrets = body.secrets().clone();
        let http = self.transport.post(body).await?;
        if !(200..300).contains(&http.status) {
            return Err(AnswerError::HttpStatus(http.status));
        }
        let permit = Arc::clone(&self.parse_permits.0).acquire_owned().await;
        let account = Arc::clone(&self.account);
        let is_long = http.body.len() > LONG_BYTES;
        let parse = move || {
            // SUBTLE: a blocking task outlives this future, so it must own the permit.
            // 1. A long answer is being parsed on a blocking thread.
            // 2. The caller times out and drops this future.
            // 3. A permit that the future held would be free while the parse still takes memory.
            let _permit = permit;
            account.parse(http.body, &secrets)
        };
        let answer = if is_long {
            // A long parse must not block the threads that serve calls.
            let parsing = tokio::task::spawn_blocking(parse).await;
            parsing.unwrap_or_else(|_| {
                Err(Unreadable::Malformed {
                    format: "an answer",
                    problem: "its reader failed".to_owned(),
                })
            })?
        } else {
            parse()?
        };
        if answer.left_out > 0 {
            let left_out = answer.left_out;
            info!(left_out, "answer has more names than a record keeps");
        }
        Ok(answer)
    }
}

/// The status that a span shows when the status is no code: its text may be long, and hold
/// anything.
const OTHER_STATUS: &str = "_OTHER";
