//! Reading and parsing of a callback's body or query.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;

use super::{callback_recorder::CallbackRecorder, rejection::Rejection};
use crate::{
    okebayar::{answer::Answer, fields::Fields, format},
    transaction::AccountName,
};

/// The longest body that is read, in bytes. hyper limits the head, and so the query.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The number of callbacks that are parsed at once. A callback takes up to 64 times its length
/// while it is parsed, no more than its length before, and only the kept details after.
const PARSES_MAX: usize = 4;

/// The longest callback that is parsed on the async worker thread, in bytes.
const INLINE_PARSE_BYTES_MAX: usize = 4 * 1024;

/// The reader of callbacks, which bounds their length, time and memory.
pub(super) struct ReportReader {
    recorder: Arc<CallbackRecorder>,
    read_timeout: Duration,
    /// One permit for each parse in progress.
    parse_permits: Arc<Semaphore>,
}

impl ReportReader {
    /// Builds the reader. A body must arrive within `read_timeout`.
    pub(super) fn new(recorder: Arc<CallbackRecorder>, read_timeout: Duration) -> Self {
        Self {
            recorder,
            read_timeout,
            parse_permits: Arc::new(Semaphore::new(PARSES_MAX)),
        }
    }

    /// Reads and parses the callback in a request. It must name a reference code and a status.
    pub(super) async fn read(
        &self,
        account: &AccountName,
        request: Request<Body>,
    ) -> Result<Answer, Rejection> {
        let payload = if request.method() == Method::POST {
            let is_form = is_form(request.headers());
            let body = self.read_body(request.into_body()).await?;
            Payload::Body { body, is_form }
        } else {
            Payload::Query(request.uri().query().unwrap_or_default().to_owned())
        };
        let report = self.parse(account, payload).await?;
        if report.reference_code.is_none() {
            return Err(Rejection::Malformed("referencecode is missing\n"));
        }
        if report.status_code().is_none() {
            return Err(Rejection::Malformed(
                "status is missing, or is not three digits\n",
            ));
        }
        Ok(report)
    }

    /// Parses a callback; a long one on a blocking thread, so that the async workers keep serving.
    async fn parse(&self, account: &AccountName, payload: Payload) -> Result<Answer, Rejection> {
        let permit = Arc::clone(&self.parse_permits).acquire_owned().await;
        let (recorder, account) = (Arc::clone(&self.recorder), account.clone());
        let is_long = payload.length() > INLINE_PARSE_BYTES_MAX;
        let parse = move || {
            // SUBTLE: the parse owns the permit. If the handler owned it:
            // 1. the sender disconnects, and hyper drops the handler with its permit;
            // 2. the parse continues;
            // 3. another callback acquires the permit, and is parsed as well.
            // So any number of parses would run at once.
            let _permit = permit;
            let fields = payload.parse()?;
            drop(payload);
            let report = recorder.read_report(&account, fields);
            let conflict = Rejection::Malformed("one field is given twice with different values\n");
            // The details hold what is kept: the fields must not occupy memory while the store
            // writes.
            Ok(Answer {
                fields: Vec::new(),
                ..report.map_err(|_| conflict)?
            })
        };
        if !is_long {
            return parse();
        }
        let parsing = tokio::task::spawn_blocking(parse).await;
        parsing.unwrap_or(Err(Rejection::Malformed("callback unreadable\n")))
    }

    /// Reads a body of bounded length in bounded time.
    async fn read_body(&self, body: Body) -> Result<Bytes, Rejection> {
        let reading = Limited::new(body, BODY_BYTES_MAX).collect();
        match tokio::time::timeout(self.read_timeout, reading).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::TooLarge),
            Ok(Err(_)) => Err(Rejection::Malformed("body incomplete\n")),
            Err(_) => Err(Rejection::TooSlow),
        }
    }
}

/// The part of a request that holds the callback.
enum Payload {
    Body { body: Bytes, is_form: bool },
    Query(String),
}

impl Payload {
    fn length(&self) -> usize {
        match self {
            Self::Body { body, .. } => body.len(),
            Self::Query(query) => query.len(),
        }
    }

    /// Parses the fields.
    fn parse(&self) -> Result<Fields, Rejection> {
        let fields = match self {
            Self::Body {
                body,
                is_form: true,
            } => format::read_form_callback(body),
            Self::Body { body, .. } => format::read_callback(body),
            Self::Query(query) => format::read_query(query),
        };
        fields.map_err(|_| Rejection::Malformed("callback is neither JSON, XML nor a form\n"))
    }
}

/// Returns true when the content type is a form.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
