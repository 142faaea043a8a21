//! Bytes to bytes: one HTTP POST, and whether it can have left.
//!
//! Nothing here sends twice: no retry, no redirect, no HTTP/2, no proxy from the
//! environment (design, section 6).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{request::Body, send_by::TimedBody};

/// What came back.
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why nothing usable came back. No variant's text holds the request.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Provably nothing was sent: no connection could be made.
    #[error("no connection could be made: {0}")]
    NotSent(String),
    /// Provably nothing was sent: the time to send it was past.
    #[error("the time to send it was past")]
    TooLate,
    /// No answer within the time-out; the request may have been processed.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke; the request may have been processed.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer is longer than the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Posts one body to one URL.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `body` once.
    ///
    /// # Errors
    /// [`TransportError`]; only its `NotSent` and `TooLate` say that nothing was sent.
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError>;
}

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Where and how OKEBAYAR is reached.
#[derive(Clone)]
pub struct HttpSettings {
    /// OKEBAYAR's one URL.
    pub url: reqwest::Url,
    /// The upstream time-out: one call from first to last byte.
    pub timeout: Duration,
    /// The making of a connection.
    pub connect_timeout: Duration,
    /// The proxy through which calls go: OKEBAYAR admits fixed source addresses.
    pub proxy: Option<reqwest::Url>,
}

impl std::fmt::Debug for HttpSettings {
    /// Without the proxy, whose URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSettings")
            .field("url", &self.url.as_str())
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// The real one: HTTP/1.1 with keep-alive to one URL.
pub struct HttpTransport {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl HttpTransport {
    /// A transport as `settings` say.
    ///
    /// # Errors
    /// When the TLS set-up of this machine cannot be used.
    pub fn new(settings: HttpSettings) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(settings.timeout)
            .connect_timeout(settings.connect_timeout)
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ));
        let builder = match settings.proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
            None => builder.no_proxy(),
        };
        Ok(Self {
            http: builder.build()?,
            url: settings.url,
        })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError> {
        let send_by = body.send_by();
        let request = self
            .http
            .post(self.url.clone())
            .header(reqwest::header::CONTENT_TYPE, body.content_type())
            .header(reqwest::header::ACCEPT, body.content_type());
        let withheld = Arc::new(AtomicBool::new(false));
        let body = TimedBody::new(body.into_bytes(), send_by, Arc::clone(&withheld));
        let request = request.body(reqwest::Body::wrap(body));
        if send_by.is_some_and(|by| by.is_past()) {
            return Err(TransportError::TooLate);
        }
        let sent = request.send().await;
        if withheld.load(Ordering::SeqCst) {
            return Err(TransportError::TooLate);
        }
        let mut response = sent.map_err(classified)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(classified_after_sending)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(TransportError::TooLong(ANSWER_BYTES_MAX));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, body })
    }
}

/// Only a failure to connect proves that nothing was sent: DNS, TCP and TLS all
/// happen before a request is handed to a connection.
fn classified(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::NotSent(causes(error))
    } else {
        classified_after_sending(error)
    }
}

fn classified_after_sending(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        TransportError::TimedOut
    } else {
        TransportError::Broken(causes(error))
    }
}

/// The error and its causes in one line, without the URL.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
