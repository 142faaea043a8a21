//! The transport: one HTTP POST, bytes to bytes. Its errors show when provably nothing was sent.
//!
//! Nothing here sends twice: no retry, no redirect, no HTTP/2, no proxy from the environment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{body::Body, send_by::TimedBody};

/// An HTTP response.
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The reason why there is no response. No text in it holds the request.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection could be made: provably nothing was sent.
    #[error("no connection could be made: {0}")]
    NotSent(String),
    /// The deadline to send was past: provably nothing was sent.
    #[error("the deadline to send the request was past")]
    TooLate,
    /// There was no response within the time-out; the request may have been processed.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke; the request may have been processed.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The response is longer than the limit; the request may have been processed.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Posts one body to one URL.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `body` once.
    ///
    /// # Errors
    /// [`TransportError`]; only its `NotSent` and `TooLate` prove that nothing was sent.
    async fn post(&self, body: Body) -> Result<HttpAnswer, TransportError>;
}

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The settings of the connection to OKEBAYAR.
#[derive(Clone)]
pub struct HttpSettings {
    /// OKEBAYAR's one URL.
    pub url: reqwest::Url,
    /// The upstream time-out, from the start of a call to the last byte of its response.
    pub timeout: Duration,
    /// The time-out for making a connection.
    pub connect_timeout: Duration,
    /// The proxy of all calls; OKEBAYAR accepts fixed source addresses only.
    pub proxy: Option<reqwest::Url>,
}

impl std::fmt::Debug for HttpSettings {
    /// Omits the proxy, whose URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSettings")
            .field("url", &self.url.as_str())
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// The transport over HTTP/1.1 with keep-alive, to one URL.
pub struct HttpTransport {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl HttpTransport {
    /// Builds a transport from `settings`.
    ///
    /// # Errors
    /// The HTTP client cannot be built: the TLS set-up of this machine is unusable.
    pub fn new(settings: HttpSettings) -> Result<Self, reqwest::Error> {
        let url = settings.url.clone();
        Ok(Self {
            http: client_builder(settings)?.build()?,
            url,
        })
    }
}

/// Builds the settings of the HTTP client. This program's reqwest is built without HTTP/2, so that
/// `http1_only` and `retry::never` change nothing today. They stay because a dependency that
/// enables HTTP/2 must not enable a second request.
fn client_builder(settings: HttpSettings) -> Result<reqwest::ClientBuilder, reqwest::Error> {
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
    Ok(match settings.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
        None => builder.no_proxy(),
    })
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

/// Classifies an error of a request. Only a failure to connect proves that nothing was sent: DNS,
/// TCP and TLS all precede the request.
fn classified(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::NotSent(causes(error))
    } else {
        classified_after_sending(error)
    }
}

/// Classifies an error of a request that may have been sent.
fn classified_after_sending(error: reqwest::Error) -> TransportError {
    if error.is_timeout() {
        TransportError::TimedOut
    } else {
        TransportError::Broken(causes(error))
    }
}

/// Formats an error and its causes in one line, without the URL.
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const HEADERS: u8 = 1;
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

    /// Refuses every request (`REFUSED_STREAM`: not processed, safe to retry), and
    /// counts them.
    async fn refuse_streams(listener: TcpListener, count: Arc<AtomicUsize>) {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                // A peer that breaks off ends the connection.
                let _ = refuse_on(stream, &count).await;
            });
        }
    }

    async fn refuse_on(mut stream: TcpStream, count: &AtomicUsize) -> std::io::Result<()> {
        let mut preface = vec![0; PREFACE.len()];
        stream.read_exact(&mut preface).await?;
        assert_eq!(preface, PREFACE);
        stream.write_all(&EMPTY_SETTINGS).await?;
        stream.write_all(&SETTINGS_ACK).await?;
        loop {
            // A frame: length, type, flags, stream, payload (RFC 9113, section 4.1).
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
            stream.read_exact(&mut payload).await?;
            if head[3] == HEADERS {
                count.fetch_add(1, Ordering::SeqCst);
                // RST_STREAM of the same stream, with REFUSED_STREAM (7).
                let mut reset = [0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 7];
                reset[5..9].copy_from_slice(&head[5..9]);
                stream.write_all(&reset).await?;
            }
        }
    }

    /// Returns the number of requests that one POST of the client becomes over HTTP/2.
    async fn requests_of_one_post(builder: reqwest::ClientBuilder) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(refuse_streams(listener, Arc::clone(&count)));
        // Only the tests' reqwest has HTTP/2. It takes the place of `http1_only`.
        let client = builder.http2_prior_knowledge().build().unwrap();
        let answer = client.post(url).body("purchase").send().await;
        assert!(answer.is_err());
        serving.abort();
        count.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn refused_request_is_not_sent_again() {
        let settings = HttpSettings {
            url: "http://okebayar.example/".parse().unwrap(),
            timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_mins(1),
            proxy: None,
        };
        let builder = client_builder(settings).unwrap();
        assert_eq!(requests_of_one_post(builder).await, 1);
        // A client with default settings does send it again.
        let as_it_comes = reqwest::Client::builder().no_proxy();
        assert!(requests_of_one_post(as_it_comes).await > 1);
    }
}
