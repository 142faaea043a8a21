//! The section `[limits]`.

use std::time::Duration;

use jiff::SignedDuration;

use super::{reader::Reader, streams::StreamTimes};

/// The limits on concurrency and on waiting.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of concurrent POSTs of purchases to OKEBAYAR.
    pub sending: usize,
    /// The maximum number of purchases that are queued or in flight.
    pub queue: usize,
    /// The maximum time that a purchase waits to be sent.
    pub queue_timeout: Duration,
    /// The number of concurrent status checks while few are due.
    pub checking: usize,
    /// The maximum number of concurrent status checks.
    pub checking_max: usize,
    /// The maximum number of open watches, of one transaction or of all.
    pub watchers: usize,
    /// The time without a message after which a watch sends a heartbeat.
    pub watch_heartbeat: Duration,
    /// The mean age at which a watch ends.
    pub watch_age: Duration,
    /// The age at which a connection accepts no further calls.
    pub connection_age: Duration,
    /// The maximum number of calls that wait for an outcome.
    pub waiters: usize,
}

/// Reads the limits.
pub(super) fn read_limits(reader: &mut Reader, times: StreamTimes) -> Option<Limits> {
    let span = |time: Option<SignedDuration>| time.map(SignedDuration::unsigned_abs);
    let sending = reader.count("limits.sending", "64");
    let queue = reader.count("limits.queue", "1024");
    let queue_timeout = reader.span("limits.queue_timeout", "10s");
    let checking = reader.count("limits.checking", "8");
    let checking_max = reader.count("limits.checking_max", "64");
    let watchers = reader.count("limits.watchers", "10000");
    let waiters = reader.count("limits.waiters", "10000");
    Some(Limits {
        sending: sending?,
        queue: queue?,
        queue_timeout: queue_timeout?,
        checking: checking?,
        checking_max: checking_max?,
        watchers: watchers?,
        watch_heartbeat: span(times.watch_heartbeat)?,
        watch_age: span(times.watch_age)?,
        connection_age: span(times.connection_age)?,
        waiters: waiters?,
    })
}
