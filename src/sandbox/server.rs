//! The sandbox's HTTP server: the API at `/`, the ledger for tests beside it.
//!
//! It speaks over hyper itself, because an answer may be that the connection is
//! reset.

use std::{convert::Infallible, net::TcpStream, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Request, Response, StatusCode},
    response::{Html, IntoResponse},
    routing::post,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{api::Reaction, control, scenario::ScenarioReply, state::Sandbox};

/// Marks a response that is never sent.
#[derive(Clone)]
struct ResetConnection;

/// Ends a connection's service.
#[derive(Debug, thiserror::Error)]
#[error("the scenario resets the connection")]
struct WasReset;

impl Sandbox {
    /// Serves until it is stopped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        serve(self, listener).await;
    }
}

async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener) {
    let router = Router::new()
        .route("/", post(call))
        .merge(control::routes())
        .with_state(Arc::clone(&sandbox));
    let serving = async {
        loop {
            // An accept that fails (too many open files) may succeed a little later.
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, router.clone()))),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = sandbox.stopping.cancelled() => {}
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, router: Router) {
    let Ok((stream, twin)) = with_twin(stream) else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> =
                router.oneshot(request.map(Body::new)).await;
            let response = response.unwrap_or_else(|never| match never {});
            match response.extensions().get::<ResetConnection>() {
                Some(_) => Err(WasReset),
                None => Ok(response),
            }
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let ended = connection.await;
    if ended.is_err_and(|error| error.is_user()) {
        // The last owner closes with a reset instead of an orderly end.
        let _ = SockRef::from(&twin).set_linger(Some(Duration::ZERO));
    }
}

/// The stream, and a second handle to its socket.
fn with_twin(stream: tokio::net::TcpStream) -> std::io::Result<(tokio::net::TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((tokio::net::TcpStream::from_std(stream)?, twin))
}

/// A status check that is being answered; dropped also when its asker has gone.
struct Check {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl Check {
    fn begin(sandbox: &Arc<Sandbox>, reference_code: String) -> Self {
        sandbox.ledger.check_begins(&reference_code);
        let sandbox = Arc::clone(sandbox);
        Self {
            sandbox,
            reference_code,
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.sandbox.ledger.check_ends(&self.reference_code);
    }
}

async fn call(State(sandbox): State<Arc<Sandbox>>, body: Bytes) -> axum::response::Response {
    let Reaction {
        reply,
        body,
        format,
        order,
        checks,
    } = sandbox.react(&body);
    // Dropped with the answer, or when the client hangs up.
    let _answering = order.map(|reference_code| Answering {
        sandbox: Arc::clone(&sandbox),
        reference_code,
    });
    let settings = &sandbox.settings;
    let check = checks.map(|reference_code| Check::begin(&sandbox, reference_code));
    if check.is_some() {
        tokio::time::sleep(settings.check_delay).await;
    }
    let content_type = match reply {
        ScenarioReply::WrongContentType => "text/html",
        _ => format.content_type(),
    };
    let answer = ([("content-type", content_type)], body.clone()).into_response();
    match reply {
        ScenarioReply::Answer | ScenarioReply::WrongContentType | ScenarioReply::LikeInquiry => {
            answer
        }
        ScenarioReply::Slow => {
            tokio::time::sleep(settings.settle_after).await;
            answer
        }
        ScenarioReply::TooLate => {
            tokio::time::sleep(settings.late_after).await;
            answer
        }
        ScenarioReply::Silence => std::future::pending().await,
        ScenarioReply::Reset | ScenarioReply::ResetBefore => {
            let mut response = ().into_response();
            response.extensions_mut().insert(ResetConnection);
            response
        }
        ScenarioReply::Error => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
        }
        ScenarioReply::Html => {
            Html("<html><body>OKEBAYAR is being maintained</body></html>").into_response()
        }
        ScenarioReply::Truncated => truncated(&body),
    }
}

/// A purchase or payment that is being answered.
struct Answering {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.sandbox.ledger.answered(&self.reference_code);
    }
}

/// Promises the whole body, sends half of it, and breaks off.
fn truncated(body: &str) -> axum::response::Response {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let pieces = [
        Ok(half),
        Err(std::io::Error::other("the scenario breaks off")),
    ];
    let length = [("content-length", body.len().to_string())];
    (length, Body::from_stream(futures::stream::iter(pieces))).into_response()
}
