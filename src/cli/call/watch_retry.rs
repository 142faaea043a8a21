//! The end of a watch's stream, and retries of an interrupted watch, with a constant backoff.

use std::{error::Error, time::Duration};

use backon::{BackoffBuilder, ConstantBackoff, ConstantBuilder};
use tonic::{Code, Status};

use super::progress::with_progress;

/// The way in which the gateway ended the stream of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The watch is done.
    Done,
    /// The stream reached its age: the watch continues at once with another one. That is no
    /// interruption.
    Expired,
}

/// The pause before an interrupted watch is opened again, and the most retries in a row without
/// an update.
const BACKOFF: ConstantBuilder = ConstantBuilder::new()
    .with_delay(Duration::from_secs(1))
    .with_max_times(30);

/// The retries that an interrupted watch has left.
pub(super) struct WatchRetry {
    backoff: ConstantBackoff,
}

impl WatchRetry {
    /// Returns the retries of a watch that was never open: none, so that a wrong address or
    /// argument is reported at once.
    pub(super) fn none() -> Self {
        Self {
            backoff: BACKOFF.with_max_times(0).build(),
        }
    }

    /// Returns every retry: for a watch of a transaction that the gateway has answered about.
    pub(super) fn full() -> Self {
        Self {
            backoff: BACKOFF.build(),
        }
    }

    /// Pauses before the next retry, with progress on a terminal.
    ///
    /// # Errors
    /// The error that interrupted the watch, unless a connection broke or a gateway stopped and
    /// a retry is left.
    pub(super) async fn pause_after(&mut self, error: Status) -> Result<(), Status> {
        let pause = tokio::time::sleep(self.next_pause(error)?);
        with_progress("the watch was interrupted; retrying", pause).await;
        Ok(())
    }

    fn next_pause(&mut self, error: Status) -> Result<Duration, Status> {
        let is_interruption = match error.code() {
            // A place that the gateway gave to another watch may be free again soon.
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::ResourceExhausted => true,
            // An HTTP/2 error of the connection has a source; a status of the gateway has none.
            Code::Internal => error.source().is_some(),
            _ => false,
        };
        if !is_interruption {
            return Err(error);
        }
        self.backoff.next().ok_or(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_watch_is_retried_thirty_times_a_second_apart() {
        let mut retry = WatchRetry::full();
        for _ in 0..30 {
            let pause = retry.next_pause(Status::unavailable("gone"));
            assert_eq!(pause.unwrap(), Duration::from_secs(1));
        }
        assert!(retry.next_pause(Status::unavailable("gone")).is_err());
    }

    #[test]
    fn watch_is_retried_after_an_error_of_the_connection_only() {
        let mut broken = Status::internal("h2 protocol error: http2 error");
        broken.set_source(std::sync::Arc::new(std::io::Error::other("http2 error")));
        assert!(WatchRetry::full().next_pause(broken).is_ok());
        let failed = Status::internal("a fault of the gateway");
        assert!(WatchRetry::full().next_pause(failed).is_err());
    }

    #[test]
    fn watch_that_was_refused_or_never_open_is_not_retried() {
        let refused = Status::not_found("unknown");
        assert!(WatchRetry::full().next_pause(refused).is_err());
        let unreachable = Status::unavailable("nobody");
        assert!(WatchRetry::none().next_pause(unreachable).is_err());
    }
}
