//! One OKEBAYAR account: purchases, payments and status checks as statements, and
//! questions with their answers.

use std::{sync::Arc, time::Instant};

use tracing::{Instrument, Span, info, info_span};

use super::{
    account::{Account, Credentials},
    answer::Answer,
    answer_error::AnswerError,
    body::Body,
    code_lists::CodeLists,
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

/// The longest answer that is taken apart at once where it came, in bytes.
const LONG_BYTES: usize = 16 * 1024;

/// Talks to OKEBAYAR for one account.
pub struct Client {
    pub(super) account: Arc<Account>,
    transport: Arc<dyn Transport>,
    observer: Option<Observer>,
    parse_permits: ParsePermits,
}

impl Client {
    /// Builds a client of one account, which parses its answers independently of others.
    #[must_use]
    pub fn new(account: Account, transport: Arc<dyn Transport>) -> Self {
        Self {
            account: Arc::new(account),
            transport,
            observer: None,
            parse_permits: ParsePermits::default(),
        }
    }

    /// Parses answers in turn with the other clients of the process.
    #[must_use]
    pub fn with_parse_permits(mut self, parse_permits: ParsePermits) -> Self {
        self.parse_permits = parse_permits;
        self
    }

    /// Tells an observer of every answer.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer) -> Self {
        observer.metrics.await_another_member(&observer.account);
        observer.metrics.await_inquiry_sold(&observer.account);
        let fields = Mismatch::ALONE.map(Mismatch::field);
        observer.metrics.await_difference(&observer.account, fields);
        self.observer = Some(observer);
        self
    }

    /// Reads a callback's fields.
    ///
    /// # Errors
    /// [`Unreadable`] when they contradict each other.
    pub fn read_report(&self, fields: Fields) -> Result<Answer, Unreadable> {
        let Credentials { user_id, pin } = &self.account.credentials;
        let about = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("referencecode"));
        let reference_code = about.map_or("", |(_, code)| code.trim());
        let secrets = RequestSecrets::new(pin.clone(), sign(user_id, pin, reference_code));
        self.account.interpret(fields, &secrets)
    }

    /// Counts and logs an answer that names our reference code and another account number,
    /// product or inquiry than ours, for which alone it proves nothing.
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

    /// The name of a text that cannot be sent back to the letter, if there is one.
    #[must_use]
    pub fn unsendable(&self, order: &Order) -> Option<&'static str> {
        requests::unsendable(&self.account, order)
    }

    /// The codes whose meaning only this deployment knows.
    #[must_use]
    pub fn code_lists(&self) -> &CodeLists {
        &self.account.code_lists
    }

    pub(super) async fn ask(&self, body: Body) -> Result<Answer, AnswerError> {
        let (operation, began) = (body.operation(), Instant::now());
        let (span, asked) = (self.span(&body), body.personal().to_vec());
        let answer = self.answer(body).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => {
                if answer.status.is_some() {
                    let code = answer.status_code().map(|code| code.to_string());
                    span.record("okebayar.status", code.as_deref().unwrap_or(OTHER_STATUS));
                }
                span.record("http.response.status_code", 200);
            }
            Err(nothing) => {
                if let AnswerError::HttpStatus(status) = nothing {
                    span.record("http.response.status_code", status);
                }
                span.record("error.type", nothing.kind());
                span.record("otel.status_code", "ERROR");
            }
        }
        if let Some(observer) = &self.observer {
            observer.observe(operation, &answer, began.elapsed(), &asked);
        }
        answer
    }

    /// The HTTP client's span of one POST.
    fn span(&self, body: &Body) -> Span {
        let observer = self.observer.as_ref();
        let server = observer.map(|observer| &observer.server);
        info_span!(
            "POST",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            server.address = server.map(|server| server.0.as_str()),
            server.port = server.map(|server| server.1),
            error.type = tracing::field::Empty,
            okebayar.account = observer.map(|observer| observer.account.as_str()),
            okebayar.transactioncode = body.transaction_code(),
            okebayar.productcode = body.product_code(),
            okebayar.status = tracing::field::Empty,
        )
    }

    async fn answer(&self, body: Body) -> Result<Answer, AnswerError> {
        let secrets = body.secrets().clone();
        let http = self.transport.post(body).await?;
        if !(200..300).contains(&http.status) {
            return Err(AnswerError::HttpStatus(http.status));
        }
        let turn = Arc::clone(&self.parse_permits.0).acquire_owned().await;
        let account = Arc::clone(&self.account);
        let is_long = http.body.len() > LONG_BYTES;
        let read = move || {
            // SUBTLE: a caller may give up and drop this future, but the parse goes on: the permit
            // goes with the parse.
            let _turn = turn;
            account.read(http.body, &secrets)
        };
        let answer = if is_long {
            // Beside the threads that serve everything else.
            let reading = tokio::task::spawn_blocking(read).await;
            reading.unwrap_or_else(|_| {
                Err(Unreadable::Malformed {
                    format: "an answer",
                    problem: "its reader failed".to_owned(),
                })
            })?
        } else {
            read()?
        };
        if answer.left_out > 0 {
            let left_out = answer.left_out;
            info!(left_out, "an answer has more names than a record keeps");
        }
        Ok(answer)
    }
}

/// What a span shows of a status that is none: its text may be long, and hold anything.
const OTHER_STATUS: &str = "_OTHER";
