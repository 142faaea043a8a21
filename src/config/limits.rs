//! The section `[limits]`.

use std::time::Duration;

use super::reader::Reader;

/// What is allowed at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// POSTs of purchases to OKEBAYAR at once.
    pub sending: usize,
    /// Purchases that wait to be sent or are being sent.
    pub queue: usize,
    /// The longest a purchase waits to be sent.
    pub queue_timeout: Duration,
    /// Status checks at once, however few are due.
    pub checking: usize,
    /// Status checks at once, however many are due.
    pub checking_max: usize,
    /// Open watches at once, of one transaction or of all.
    pub watchers: usize,
    /// Calls that wait for an outcome at once.
    pub waiters: usize,
}

pub(super) fn read_limits(reader: &mut Reader) -> Option<Limits> {
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
        waiters: waiters?,
    })
}
