//! The sandbox's HTTP server: the API at `/`, and the routes for tests beside it.
//!
//! It drives hyper directly, because a scenario may reset the connection instead of answering.

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

/// A marker in the extensions of a response: reset the connection instead of sending it.
#[derive(Clone)]
struct ResetConnection;

/// The error that ends the service of a connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the scenario resets the connection")]
struct ConnectionReset;

impl Sandbox {
    /// Serves until the sandbox is stopped.
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
            // Accepting can fail temporarily, for example with too many open files.
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
    let Ok((stream, second_handle)) = with_second_handle(stream) else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> =
                router.oneshot(request.map(Body::new)).await;
            let response = response.unwrap_or_else(|never| match never {});
            match response.extensions().get::<ResetConnection>() {
                Some(_) => Err(ConnectionReset),
                None => Ok(response),
            }
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let ended = connection.await;
    if ended.is_err_and(|error| error.is_user()) {
        // With a zero linger time, closing the last handle sends RST instead of FIN.
        let _ = SockRef::from(&second_handle).set_linger(Some(Duration::ZERO));
    }
}

/// Returns the stream and a second handle to its socket.
fn with_second_handle(
    stream: tokio::net::TcpStream,
) -> std::io::Result<(tokio::net::TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let second_handle = stream.try_clone()?;
    Ok((tokio::net::TcpStream::from_std(stream)?, second_handle))
}

/// A status check in flight. It ends when it is dropped: with the answer, or when the client
/// disconnects.
struct CheckInFlight {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl CheckInFlight {
    fn begin(sandbox: &Arc<Sandbox>, reference_code: String) -> Self {
        sandbox.ledger.begin_check(&reference_code);
        let sandbox = Arc::clone(sandbox);
        Self {
            sandbox,
            reference_code,
        }
    }
}

impl Drop for CheckInFlight {
    fn drop(&mut self) {
        self.sandbox.ledger.end_check(&self.reference_code);
    }
}

/// Answers one call of the API as its scenario defines.
async fn call(State(sandbox): State<Arc<Sandbox>>, body: Bytes) -> axum::response::Response {
    let Reaction {
        reply,
        body,
        format,
        order,
        checks,
    } = sandbox.react(&body);
    // Dropped with the answer, or when the client disconnects.
    let _order_in_flight = order.map(|reference_code| OrderInFlight {
        sandbox: Arc::clone(&sandbox),
        reference_code,
    });
    let settings = &sandbox.settings;
    let check = checks.map(|reference_code| CheckInFlight::begin(&sandbox, reference_code));
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

/// A purchase or payment in flight. It ends when it is dropped.
struct OrderInFlight {
    sandbox: Arc<Sandbox>,
    reference_code: String,
}

impl Drop for OrderInFlight {
    fn drop(&mut self) {
        self.sandbox.ledger.finish_order(&self.reference_code);
    }
}

/// Builds a response that announces the whole body, sends half of it, and aborts the connection.
fn truncated(body: &str) -> axum::response::Response {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let pieces = [
        Ok(half),
        Err(std::io::Error::other("the scenario aborts the body")),
    ];
    let length = [("content-length", body.len().to_string())];
    (length, Body::from_stream(futures::stream::iter(pieces))).into_response()
}
