//! The tower layer that traces and measures every gRPC call.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Request, Response},
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry_semantic_conventions::attribute::{
    OTEL_STATUS_CODE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Code, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span, info_span};

use super::{metrics::Metrics, traces::continue_trace};

/// A layer that measures the calls of a gRPC server.
#[derive(Clone)]
pub struct RpcLayer {
    metrics: Metrics,
    /// The known methods; all other paths share one label.
    methods: Arc<BTreeSet<String>>,
}

/// The label of a path that is not a method.
const UNKNOWN_METHOD: &str = "unknown";

impl RpcLayer {
    /// Creates a layer for the methods in these descriptor sets.
    #[must_use]
    pub fn new(metrics: Metrics, descriptors: &[&[u8]]) -> Self {
        let mut methods = BTreeSet::new();
        for descriptor in descriptors {
            let Ok(pool) = DescriptorPool::decode(*descriptor) else {
                continue;
            };
            for service in pool.services() {
                let path =
                    |method: MethodDescriptor| format!("{}/{}", service.full_name(), method.name());
                methods.extend(service.methods().map(path));
            }
        }
        Self {
            metrics,
            methods: Arc::new(methods),
        }
    }
}

impl<S> Layer<S> for RpcLayer {
    type Service = MeasuredService<S>;

    fn layer(&self, inner: S) -> MeasuredService<S> {
        MeasuredService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose calls are measured.
#[derive(Clone)]
pub struct MeasuredService<S> {
    inner: S,
    layer: RpcLayer,
}

type RpcFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for MeasuredService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RpcFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> RpcFuture {
        let path = request.uri().path().trim_start_matches('/');
        let method = if self.layer.methods.contains(path) {
            path.to_owned()
        } else {
            UNKNOWN_METHOD.to_owned()
        };
        let span = info_span!(
            "rpc",
            otel.name = method,
            otel.kind = "server",
            { OTEL_STATUS_CODE } = tracing::field::Empty,
            { RPC_SYSTEM_NAME } = "grpc",
            { RPC_METHOD } = method,
            { RPC_RESPONSE_STATUS_CODE } = tracing::field::Empty,
        );
        continue_trace(&span, request.headers());
        let mut call = Call {
            span: span.clone(),
            metrics: self.layer.metrics.clone(),
            method,
            began: Instant::now(),
            is_over: false,
        };
        let answering = span.in_scope(|| self.inner.call(request));
        let answering = async move {
            let response = answering.await?;
            // A response without a body (Trailers-Only) has its status in the headers.
            if let Some(code) = status_in(response.headers()) {
                call.end(code);
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(MeasuredBody { body, call })))
        };
        Box::pin(answering.instrument(span))
    }
}

/// Reads the gRPC status from headers or trailers.
fn status_in(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

/// A call in progress. Dropping it before its end records a cancellation.
struct Call {
    span: Span,
    metrics: Metrics,
    method: String,
    began: Instant,
    is_over: bool,
}

impl Call {
    /// Records the end of the call, once.
    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_over, true) {
            if is_servers_fault(code) {
                self.span.record(OTEL_STATUS_CODE, "ERROR");
            }
            let (code, took) = (name(code), self.began.elapsed());
            self.span.record(RPC_RESPONSE_STATUS_CODE, code);
            self.metrics.call(&self.method, code, took);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// A response body that ends its call with the status in its trailers.
struct MeasuredBody {
    body: Body,
    call: Call,
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(code) = frame.trailers_ref().and_then(status_in) {
                    self.call.end(code);
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.end(status.code()),
            Poll::Ready(None) => self.call.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns true for codes that the semantic conventions treat as errors of a server span.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Returns the name of a code as gRPC spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
