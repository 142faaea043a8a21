//! INBOUND 2: OKEBAYAR's callbacks over HTTP (docs/OKEBAYAR.md, section 4).
//!
//! `GET` with query parameters, or `POST` with JSON, XML or a form, to
//! `/callbacks/{account}[/{secret}]`. Answered 200 only once stored (promise 12).
//! A stranger is told nothing, and can take neither memory nor time: address and
//! secret come first, then the rate, then a bounded body in bounded time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, Method, Request, StatusCode, header},
    routing::{MethodRouter, get},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tracing::{Instrument, Span, info, info_span, warn};

use super::{callback_recorder::CallbackRecorder, record::Received};
use crate::{
    config::CallbackSettings,
    okebayar::{answer::Answer, fields::Fields, format},
    transaction::AccountName,
};

/// The longest body that is read, in bytes; hyper bounds a head, and so a query.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The number of callbacks that are parsed at once. For that moment one takes up to 64 times its
/// length; before it no more than its length, and after it what is kept.
const READ_AT_ONCE: usize = 4;

/// The longest callback that is taken apart at once where it came, in bytes.
const LONG_BYTES: usize = 4 * 1024;

/// The address of an account's callbacks; a secret may follow.
const ROUTE: &str = "/callbacks/{account}";

/// What the listener knows.
pub struct Callbacks {
    recorder: Arc<CallbackRecorder>,
    secrets: BTreeMap<AccountName, Option<SecretString>>,
    settings: CallbackSettings,
    rate: DefaultDirectRateLimiter,
    /// One for each callback that is being taken apart.
    turns: Arc<Semaphore>,
}

/// Why a callback was not taken.
#[derive(Debug)]
enum Refused {
    /// Wrong sender, account or secret: told nothing.
    NotFound,
    /// Too many at once.
    TooMany,
    /// The body is too long.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Not a callback.
    Malformed(&'static str),
    /// It could not be stored: OKEBAYAR may try again.
    NotStored,
}

impl Refused {
    fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Malformed(_) => "malformed",
            Self::NotStored => "not_stored",
        }
    }
}

/// The routes.
pub fn router(callbacks: Callbacks) -> Router {
    Router::new()
        .route(ROUTE, methods())
        .route("/callbacks/{account}/{secret}", methods())
        .with_state(Arc::new(callbacks))
}

/// `GET` and `POST` only. A `HEAD` would otherwise count as a `GET`, and whoever only looks
/// whether the address is there would report a status.
fn methods() -> MethodRouter<Arc<Callbacks>> {
    get(receive)
        .post(receive)
        .head(refuse_method)
        .fallback(refuse_method)
}

async fn refuse_method() -> (
    StatusCode,
    [(header::HeaderName, &'static str); 1],
    &'static str,
) {
    let allow = [(header::ALLOW, "GET, POST")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "use GET or POST\n")
}

type Address = BTreeMap<String, String>;

async fn receive(
    State(callbacks): State<Arc<Callbacks>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    address: Result<Path<Address>, PathRejection>,
    request: Request<Body>,
) -> (StatusCode, &'static str) {
    let method = request.method().clone();
    let span = info_span!(
        "callback",
        otel.name = %format_args!("{method} {ROUTE}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = %method,
        http.route = ROUTE,
        http.response.status_code = tracing::field::Empty,
        okebayar.account = tracing::field::Empty,
    );
    // An address that cannot be read is nobody's.
    let address = address.map_or_else(|_| Address::new(), |Path(address)| address);
    let receiving = callbacks.receive(peer.ip(), &address, request);
    let received = receiving.instrument(span.clone()).await;
    let result = match &received {
        Ok(Received::Known) => "known",
        Ok(Received::Orphan) => "orphan",
        Err(refused) => refused.kind(),
    };
    callbacks.recorder.metrics.callback(result);
    let (status, text) = answer_to(&received);
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    (status, text)
}

/// What OKEBAYAR is told, or a stranger.
fn answer_to(received: &Result<Received, Refused>) -> (StatusCode, &'static str) {
    match received {
        Ok(_) => (StatusCode::OK, "OK\n"),
        Err(Refused::NotFound) => (StatusCode::NOT_FOUND, "not found\n"),
        Err(Refused::TooMany) => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many callbacks; try again\n",
        ),
        Err(Refused::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n"),
        Err(Refused::TooSlow) => (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time\n",
        ),
        Err(Refused::Malformed(problem)) => (StatusCode::BAD_REQUEST, problem),
        Err(Refused::NotStored) => (StatusCode::SERVICE_UNAVAILABLE, "not stored; try again\n"),
    }
}

impl Callbacks {
    /// What the listener knows: the secrets in the accounts' addresses, and limits.
    #[must_use]
    pub fn new(
        recorder: Arc<CallbackRecorder>,
        secrets: BTreeMap<AccountName, Option<SecretString>>,
        settings: CallbackSettings,
    ) -> Self {
        let rate = RateLimiter::direct(Quota::per_second(settings.rate_per_second));
        Self {
            recorder,
            secrets,
            settings,
            rate,
            turns: Arc::new(Semaphore::new(READ_AT_ONCE)),
        }
    }

    async fn receive(
        &self,
        peer: IpAddr,
        address: &Address,
        request: Request<Body>,
    ) -> Result<Received, Refused> {
        let sender = self.sender(peer, request.headers());
        let account = sender
            .filter(|sender| self.may_call(*sender))
            .and_then(|_| self.admit(address))
            .ok_or(Refused::NotFound)?;
        Span::current().record("okebayar.account", account.as_str());
        self.rate.check().map_err(|_| Refused::TooMany)?;
        let report = self.read(&account, request).await.inspect_err(|refused| {
            info!(%account, problem = ?refused, "a callback was refused");
        })?;
        self.recorder
            .receive(&account, &report)
            .await
            .map_err(|error| {
                warn!(%account, %error, "a callback could not be stored");
                Refused::NotStored
            })
    }

    /// Who calls: the peer, or whom the trusted proxies before us name last. `None`
    /// when a trusted proxy names somebody unreadable.
    fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let is_proxy = |address: IpAddr| contains(&self.settings.trusted_proxies, address);
        let mut sender = peer;
        for header in headers.get_all("x-forwarded-for").iter().rev() {
            for name in header.to_str().ok()?.rsplit(',') {
                if !is_proxy(sender) {
                    return Some(sender);
                }
                sender = named_address(name)?;
            }
        }
        Some(sender)
    }

    fn may_call(&self, sender: IpAddr) -> bool {
        self.settings.allow.is_empty() || contains(&self.settings.allow, sender)
    }

    /// The account of an address with the right secret, compared in constant time.
    fn admit(&self, address: &Address) -> Option<AccountName> {
        // The address of a former name stays registered with OKEBAYAR for a while.
        let named = AccountName::parse(address.get("account")?.as_str()).ok()?;
        let account = self.recorder.upstreams.directory().configured(&named)?;
        let given = address.get("secret").map_or("", String::as_str);
        let wanted = self
            .secrets
            .get(&account)?
            .as_ref()
            .map_or("", |secret| secret.expose_secret());
        bool::from(given.as_bytes().ct_eq(wanted.as_bytes())).then_some(account)
    }

    async fn read(&self, account: &AccountName, request: Request<Body>) -> Result<Answer, Refused> {
        let came = if request.method() == Method::POST {
            let is_form = is_form(request.headers());
            let body = self.body(request.into_body()).await?;
            Came::Body { body, is_form }
        } else {
            Came::Query(request.uri().query().unwrap_or_default().to_owned())
        };
        let report = self.report(account, came).await?;
        if report.reference_code.is_none() {
            return Err(Refused::Malformed("referencecode is missing\n"));
        }
        if report.status_code().is_none() {
            return Err(Refused::Malformed(
                "status is missing, or is not three digits\n",
            ));
        }
        Ok(report)
    }

    /// Takes a callback apart, a long one beside the threads that serve everything else.
    async fn report(&self, account: &AccountName, came: Came) -> Result<Answer, Refused> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let (recorder, account) = (Arc::clone(&self.recorder), account.clone());
        let is_long = came.length() > LONG_BYTES;
        let read = move || {
            // SUBTLE: hyper drops this handler when the sender hangs up, but the parse goes on: the
            // permit goes with the parse, or any number of them would run at once.
            let _turn = turn;
            let fields = came.read()?;
            drop(came);
            let report = recorder.read_report(&account, fields);
            let conflict = Refused::Malformed("one fact is given twice, differently\n");
            // The details have what is kept; the rest must not wait for the store.
            Ok(Answer {
                fields: Vec::new(),
                ..report.map_err(|_| conflict)?
            })
        };
        if !is_long {
            return read();
        }
        let reading = tokio::task::spawn_blocking(read).await;
        reading.unwrap_or(Err(Refused::Malformed("it cannot be read\n")))
    }

    async fn body(&self, body: Body) -> Result<Bytes, Refused> {
        let reading = Limited::new(body, BODY_BYTES_MAX).collect();
        match tokio::time::timeout(self.settings.read_timeout, reading).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge),
            Ok(Err(_)) => Err(Refused::Malformed("the body broke off\n")),
            Err(_) => Err(Refused::TooSlow),
        }
    }
}

/// Reads an entry of `X-Forwarded-For`. Some proxies add the port, and then write IPv6 in
/// brackets; some quote that.
fn named_address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let unquoted = entry
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let entry = unquoted.unwrap_or(entry);
    let plain = entry.parse().ok();
    plain
        .or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| {
            let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
            Some(inner.parse::<Ipv6Addr>().ok()?.into())
        })
}

/// The received part of a callback: its body or its query.
enum Came {
    Body { body: Bytes, is_form: bool },
    Query(String),
}

impl Came {
    fn length(&self) -> usize {
        match self {
            Self::Body { body, .. } => body.len(),
            Self::Query(query) => query.len(),
        }
    }

    fn read(&self) -> Result<Fields, Refused> {
        let read = match self {
            Self::Body {
                body,
                is_form: true,
            } => format::read_form_callback(body),
            Self::Body { body, .. } => format::read_callback(body),
            Self::Query(query) => format::read_query(query),
        };
        read.map_err(|_| Refused::Malformed("it is neither JSON, XML nor a form\n"))
    }
}

/// Returns true when the sender calls the body a form.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    // An IPv4 peer on an IPv6 socket is the IPv4 peer.
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
