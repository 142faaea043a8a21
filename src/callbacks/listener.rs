//! The HTTP listener for OKEBAYAR's callbacks (docs/OKEBAYAR.md, section 4): its routes and responses.
//!
//! It accepts `GET` with query parameters, or `POST` with JSON, XML or a form, at
//! `/callbacks/{account}[/{secret}]`. It responds 200 only once the callback is stored (promise
//! 12). An unauthenticated client learns nothing, and occupies neither memory nor time. The checks
//! run in this order: address and secret, rate, then a bounded body in bounded time.

use opentelemetry_semantic_conventions::attribute::{
    HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, OTEL_STATUS_CODE,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{Request, StatusCode, header},
    routing::{MethodRouter, get},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tracing::{Instrument, Span, info, info_span, warn};

use super::{
    callback_recorder::CallbackRecorder,
    record::CallbackOutcome,
    rejection::Rejection,
    report_reader::ReportReader,
    sender::{contains, sender_address},
    settings::CallbackSettings,
};
use crate::transaction::AccountName;

/// The route of an account's callbacks; a secret may follow.
const ROUTE: &str = "/callbacks/{account}";

/// The listener for callbacks, with the secrets and limits of its routes.
pub struct CallbackListener {
    recorder: Arc<CallbackRecorder>,
    reader: ReportReader,
    secrets: BTreeMap<AccountName, Option<SecretString>>,
    settings: CallbackSettings,
    rate: DefaultDirectRateLimiter,
}

/// Builds the router.
pub fn router(listener: CallbackListener) -> Router {
    Router::new()
        .route(ROUTE, methods())
        .route("/callbacks/{account}/{secret}", methods())
        .with_state(Arc::new(listener))
}

/// Routes `GET` and `POST` only. axum would otherwise serve `HEAD` like `GET`, and a probe of the
/// address would report a status.
fn methods() -> MethodRouter<Arc<CallbackListener>> {
    get(receive)
        .post(receive)
        .head(reject_method)
        .fallback(reject_method)
}

async fn reject_method() -> (
    StatusCode,
    [(header::HeaderName, &'static str); 1],
    &'static str,
) {
    let allow = [(header::ALLOW, "GET, POST")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "use GET or POST\n")
}

/// The parameters of the route, by name.
type PathParameters = BTreeMap<String, String>;

async fn receive(
    State(listener): State<Arc<CallbackListener>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    path: Result<Path<PathParameters>, PathRejection>,
    request: Request<Body>,
) -> (StatusCode, &'static str) {
    let method = request.method().clone();
    let span = info_span!(
        "callback",
        otel.name = %format_args!("{method} {ROUTE}"),
        otel.kind = "server",
        { OTEL_STATUS_CODE } = tracing::field::Empty,
        { HTTP_REQUEST_METHOD } = %method,
        { HTTP_ROUTE } = ROUTE,
        { HTTP_RESPONSE_STATUS_CODE } = tracing::field::Empty,
        okebayar.account = tracing::field::Empty,
    );
    // An unreadable path matches no account.
    let path = path.map_or_else(|_| PathParameters::new(), |Path(path)| path);
    let receiving = listener.receive(peer.ip(), &path, request);
    let received = receiving.instrument(span.clone()).await;
    let result = match &received {
        Ok(CallbackOutcome::Matched) => "known",
        Ok(CallbackOutcome::Orphan) => "orphan",
        Err(rejection) => rejection.kind(),
    };
    listener.recorder.metrics.callback(result);
    let (status, text) = response_to(&received);
    span.record(HTTP_RESPONSE_STATUS_CODE, status.as_u16());
    if status.is_server_error() {
        span.record(OTEL_STATUS_CODE, "ERROR");
    }
    (status, text)
}

/// Maps the outcome of a callback to an HTTP response.
fn response_to(received: &Result<CallbackOutcome, Rejection>) -> (StatusCode, &'static str) {
    match received {
        Ok(_) => (StatusCode::OK, "OK\n"),
        Err(rejection) => rejection.response(),
    }
}

impl CallbackListener {
    /// Builds the listener with the secret of each account's address.
    #[must_use]
    pub fn new(
        recorder: Arc<CallbackRecorder>,
        secrets: BTreeMap<AccountName, Option<SecretString>>,
        settings: CallbackSettings,
    ) -> Self {
        let rate = RateLimiter::direct(Quota::per_second(settings.rate_per_second));
        Self {
            reader: ReportReader::new(Arc::clone(&recorder), settings.read_timeout),
            recorder,
            secrets,
            settings,
            rate,
        }
    }

    /// Authenticates, reads and stores a callback.
    async fn receive(
        &self,
        peer: IpAddr,
        path: &PathParameters,
        request: Request<Body>,
    ) -> Result<CallbackOutcome, Rejection> {
        let sender = sender_address(peer, request.headers(), &self.settings.trusted_proxies);
        let account = sender
            .filter(|sender| self.is_allowed(*sender))
            .and_then(|_| self.authenticate(path))
            .ok_or(Rejection::NotFound)?;
        Span::current().record("okebayar.account", account.as_str());
        self.rate.check().map_err(|_| Rejection::TooMany)?;
        let reading = self.reader.read(&account, request).await;
        let report = reading.inspect_err(|rejection| {
            info!(%account, problem = ?rejection, "callback rejected");
        })?;
        self.recorder
            .receive(&account, &report)
            .await
            .map_err(|error| {
                warn!(%account, %error, "callback not stored");
                Rejection::NotStored
            })
    }

    fn is_allowed(&self, sender: IpAddr) -> bool {
        self.settings.allow.is_empty() || contains(&self.settings.allow, sender)
    }

    /// Returns the account of a path whose secret is right; compares it in constant time.
    fn authenticate(&self, path: &PathParameters) -> Option<AccountName> {
        // The address of a former name stays registered with OKEBAYAR for a while.
        let named = AccountName::parse(path.get("account")?.as_str()).ok()?;
        let account = self.recorder.upstreams.directory().configured(&named)?;
        let given = path.get("secret").map_or("", String::as_str);
        let wanted = self
            .secrets
            .get(&account)?
            .as_ref()
            .map_or("", |secret| secret.expose_secret());
        bool::from(given.as_bytes().ct_eq(wanted.as_bytes())).then_some(account)
    }
}
