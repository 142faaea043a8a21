//! Calls that are refused before a handler sees them: requests that are too long or cannot
//! be read, methods that do not exist, and deadlines that cannot be read.
//!
//! Tonic answers the first ones without our `ErrorInfo`, and a request that is too long with
//! OUT_OF_RANGE, which the contract gives another meaning ("list again"). A deadline that
//! cannot be read it ignores: its caller would wait for longer than it wanted to.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{HeaderMap, Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{
    error,
    request::{TIMEOUT_HEADER, read_timeout},
};

/// Gives every refusal of the server itself its `ErrorInfo`.
#[derive(Clone, Copy)]
pub struct RefusalLayer;

impl<S> Layer<S> for RefusalLayer {
    type Service = Explained<S>;

    fn layer(&self, inner: S) -> Explained<S> {
        Explained { inner }
    }
}

/// A server whose refusals are explained.
#[derive(Clone)]
pub struct Explained<S> {
    inner: S,
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Explained<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answered {
        let is_standard = is_standard(request.uri().path());
        if !is_standard && !has_readable_timeout(request.headers()) {
            let refused = error::unreadable_timeout().into_http();
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

/// Returns true for the health and reflection services, whose contract is not ours.
fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.")
}

/// Returns true for a call without a deadline, or with one that can be read.
fn has_readable_timeout(headers: &HeaderMap) -> bool {
    let mut timeouts = headers.get_all(TIMEOUT_HEADER).iter();
    match (timeouts.next(), timeouts.next()) {
        (None, _) => true,
        (Some(timeout), None) => timeout
            .to_str()
            .is_ok_and(|text| read_timeout(text).is_some()),
        (Some(_), Some(_)) => false,
    }
}

/// Adds what is missing to an error that has no details. An error without a body has
/// its status in the headers.
fn explained(mut response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    let Some(status) = status.filter(|status| status.code() != Code::Ok) else {
        return response;
    };
    if !status.details().is_empty() {
        return response;
    }
    let (parts, _) = error::of_refusal(&status).into_http::<Body>().into_parts();
    // The others say, for example, which compression is supported.
    response.headers_mut().extend(parts.headers);
    response
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

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
        let ours = error::not_found(false);
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
