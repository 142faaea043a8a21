//! Calls that are rejected before a handler receives them: requests that are too long or
//! malformed, unknown methods, and unreadable deadlines.
//!
//! Tonic rejects the first three without our `ErrorInfo`, and a request that is too long with
//! OUT_OF_RANGE, which has another meaning in the contract ("list again"). Tonic ignores an
//! unreadable deadline, so the caller would wait for longer than it wanted to.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::contract::v1::ErrorReason;
use super::{deadline, status::StatusBuilder};
use crate::purchase::Sent;

/// A layer that adds the `ErrorInfo` to the server's own refusals.
#[derive(Clone, Copy)]
pub struct RefusalLayer;

impl<S> Layer<S> for RefusalLayer {
    type Service = RefusalService<S>;

    fn layer(&self, inner: S) -> RefusalService<S> {
        RefusalService { inner }
    }
}

/// A server whose refusals carry an `ErrorInfo`.
#[derive(Clone)]
pub struct RefusalService<S> {
    inner: S,
}

type RefusalFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for RefusalService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RefusalFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> RefusalFuture {
        let is_standard = is_standard(request.uri().path());
        if !is_standard && !deadline::is_readable(request.headers()) {
            let refused = deadline::unreadable().into_http();
            return Box::pin(async { Ok(refused) });
        }
        let answering = self.inner.call(request);
        Box::pin(async move {
            let response = answering.await?;
            if is_standard {
                return Ok(response);
            }
            Ok(explained(response))
        })
    }
}

/// Returns true for the health and reflection services, which have contracts of their own.
fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.")
}

/// Adds code, message and `ErrorInfo` to an error without details. An error without a body
/// has its status in the headers.
fn explained(mut response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    let Some(status) = status.filter(|status| status.code() != Code::Ok) else {
        return response;
    };
    if !status.details().is_empty() {
        return response;
    }
    let (parts, _) = to_status(&status).into_http::<Body>().into_parts();
    // The other headers stay: they list the supported compressions, for example.
    response.headers_mut().extend(parts.headers);
    response
}

/// Maps a refusal of the server itself. The request was not read, so an earlier call under its
/// reference code may have been sent.
fn to_status(refusal: &Status) -> Status {
    let (code, reason, remedy) = match refusal.code() {
        Code::OutOfRange => (
            Code::ResourceExhausted,
            ErrorReason::RequestTooLarge,
            "the request is too long; shorten its fields",
        ),
        Code::Internal => (
            Code::InvalidArgument,
            ErrorReason::RequestUnreadable,
            "the request cannot be decoded; send the message that the contract defines",
        ),
        Code::Unimplemented => (
            Code::Unimplemented,
            ErrorReason::MethodUnknown,
            "the method or its compression is not supported; compare with the contract that \
             the gateway serves (reflection)",
        ),
        other => (
            other,
            ErrorReason::RefusedByServer,
            "the server refused the call",
        ),
    };
    let message = match refusal.message() {
        "" => remedy.to_owned(),
        problem => format!("{remedy} ({problem})"),
    };
    let builder = StatusBuilder::new(code, reason, Sent::Maybe, message);
    if reason == ErrorReason::RequestTooLarge {
        // Retry policies repeat RESOURCE_EXHAUSTED.
        return builder.not_retryable().build();
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::{super::transaction_lookup, *};

    fn told(status: Status) -> (Code, String, String) {
        let response = explained(status.into_http());
        let status = Status::from_header_map(response.headers()).unwrap();
        let info = status.get_details_error_info().unwrap();
        (status.code(), info.reason, info.metadata["sent"].clone())
    }

    #[test]
    fn refusal_of_tonic_gets_code_and_details_of_the_contract() {
        for (status, code, reason) in [
            (
                Status::out_of_range("decoded message length too large"),
                Code::ResourceExhausted,
                "REQUEST_TOO_LARGE",
            ),
            (
                Status::internal("failed to decode Protobuf message"),
                Code::InvalidArgument,
                "REQUEST_UNREADABLE",
            ),
            (
                Status::unimplemented(""),
                Code::Unimplemented,
                "METHOD_UNKNOWN",
            ),
            (Status::unknown("?"), Code::Unknown, "REFUSED_BY_SERVER"),
        ] {
            let expected = (code, reason.to_owned(), "maybe".to_owned());
            assert_eq!(told(status), expected);
        }
    }

    #[test]
    fn error_with_details_and_success_pass_unchanged() {
        let ours = transaction_lookup::not_found(false);
        assert_eq!(
            told(ours),
            (
                Code::NotFound,
                "TRANSACTION_NOT_FOUND".to_owned(),
                "no".to_owned()
            )
        );
        let fine: Response<Body> = explained(Response::new(Body::empty()));
        assert!(fine.headers().is_empty());
    }
}
