//! The deadline after which a purchase or payment must not be sent.
//!
//! SUBTLE: a frozen process must not send late.
//!
//! 1. A process claims a transaction, and is frozen before its POST.
//! 2. The POST is overdue; a status check of another replica settles the transaction.
//! 3. The process resumes and sends.
//!
//! So the deadline is compared twice: before the request is handed to the HTTP client, and when a
//! connection, which may be new, asks for the body. Only a freeze between that moment and the
//! write to the socket remains.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use jiff::Timestamp;

use crate::ambient::Ambient;

/// A deadline by two clocks, the wall clock and the boot-time clock. The wall clock may be set
/// back, and a monotonic clock may stop while the machine is suspended; the boot-time clock does
/// neither.
#[derive(Clone, Copy, Debug)]
pub struct SendBy {
    wall: Timestamp,
    boot: Duration,
    clocks: Ambient,
}

impl SendBy {
    /// Builds the deadline `within` after now.
    #[must_use]
    pub fn after(within: Duration, clocks: Ambient) -> Self {
        let now = (clocks.now)();
        Self {
            wall: now.checked_add(within).unwrap_or(now),
            boot: (clocks.boot)().saturating_add(within),
            clocks,
        }
    }

    /// Returns the deadline that also ends at a time of the wall clock, if that is earlier.
    #[must_use]
    pub fn and_before(self, wall: Timestamp) -> Self {
        let now = (self.clocks.now)();
        let left = Duration::try_from(wall.duration_since(now)).unwrap_or(Duration::ZERO);
        Self {
            wall: self.wall.min(wall),
            boot: self.boot.min((self.clocks.boot)().saturating_add(left)),
            clocks: self.clocks,
        }
    }

    /// Returns the time until the deadline, zero after it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let wall = self.wall.duration_since((self.clocks.now)());
        let boot = self.boot.saturating_sub((self.clocks.boot)());
        Duration::try_from(wall).unwrap_or(Duration::ZERO).min(boot)
    }

    /// Returns true when either clock is past the deadline.
    #[must_use]
    pub fn is_past(&self) -> bool {
        (self.clocks.now)() >= self.wall || (self.clocks.boot)() >= self.boot
    }
}

/// A request's body that is withheld after its deadline.
///
/// hyper polls the first frame after it has a connection and before it flushes the head, so nothing
/// is sent when the body is withheld. Should a later hyper flush the head first, OKEBAYAR receives
/// a request without its body, which it cannot execute.
pub(super) struct TimedBody {
    bytes: Option<Bytes>,
    send_by: Option<SendBy>,
    withheld: Arc<AtomicBool>,
}

/// The error of a body that was withheld.
#[derive(Debug, thiserror::Error)]
#[error("the deadline to send the request was past")]
pub(super) struct Withheld;

impl TimedBody {
    /// Wraps a body; `withheld` becomes true if it is withheld.
    pub(super) fn new(bytes: Vec<u8>, send_by: Option<SendBy>, withheld: Arc<AtomicBool>) -> Self {
        Self {
            bytes: Some(bytes.into()),
            send_by,
            withheld,
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        if self.bytes.is_some() && self.send_by.is_some_and(|by| by.is_past()) {
            self.withheld.store(true, Ordering::SeqCst);
            return Poll::Ready(Some(Err(Withheld)));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn wall() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn deadline_passes_by_either_clock() {
        static BOOT_SECONDS: AtomicU64 = AtomicU64::new(100);
        static WALL_SECONDS: AtomicU64 = AtomicU64::new(100);
        let clocks = Ambient {
            now: || {
                let seconds = WALL_SECONDS.load(Ordering::SeqCst);
                Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap()
            },
            boot: || Duration::from_secs(BOOT_SECONDS.load(Ordering::SeqCst)),
            random: || uuid::Uuid::nil(),
        };
        let send_by = SendBy::after(Duration::from_secs(10), clocks);
        assert!(!send_by.is_past());
        WALL_SECONDS.store(110, Ordering::SeqCst);
        assert!(send_by.is_past());
        // Set back, while the machine was suspended.
        WALL_SECONDS.store(90, Ordering::SeqCst);
        assert!(!send_by.is_past());
        BOOT_SECONDS.store(110, Ordering::SeqCst);
        assert!(send_by.is_past());
    }

    #[test]
    fn caller_deadline_counts_by_both_clocks() {
        fn at(seconds: i64) -> Timestamp {
            Timestamp::from_second(seconds).unwrap()
        }
        static SECONDS: AtomicU64 = AtomicU64::new(100);
        static SET_BACK: AtomicBool = AtomicBool::new(false);
        let clocks = Ambient {
            now: || {
                let seconds = SECONDS.load(Ordering::SeqCst);
                let set_back = i64::from(SET_BACK.load(Ordering::SeqCst)) * 50;
                at(i64::try_from(seconds).unwrap() - set_back)
            },
            boot: || Duration::from_secs(SECONDS.load(Ordering::SeqCst)),
            random: || uuid::Uuid::nil(),
        };
        let gateways = SendBy::after(Duration::from_secs(10), clocks);
        assert_eq!(gateways.and_before(at(200)).remaining().as_secs(), 10);
        let callers = gateways.and_before(at(105));
        assert_eq!(callers.remaining().as_secs(), 5);
        assert!(!callers.is_past());
        // The wall clock is set back: the boot-time clock still ends it.
        SECONDS.store(105, Ordering::SeqCst);
        SET_BACK.store(true, Ordering::SeqCst);
        assert!(callers.is_past() && !gateways.is_past());
        let past = gateways.and_before(at(1));
        assert!(past.is_past() && past.remaining().is_zero());
    }

    #[test]
    fn body_is_handed_out_once_and_in_full_before_the_deadline() {
        let clocks = Ambient {
            now: wall,
            boot: || Duration::ZERO,
            random: || uuid::Uuid::nil(),
        };
        let withheld = Arc::new(AtomicBool::new(false));
        let send_by = SendBy::after(Duration::from_secs(1), clocks);
        let mut body = TimedBody::new(b"body".to_vec(), Some(send_by), Arc::clone(&withheld));
        assert_eq!(body.size_hint().exact(), Some(4));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut poll = || Pin::new(&mut body).poll_frame(&mut context);
        let Poll::Ready(Some(Ok(frame))) = poll() else {
            panic!("there is no frame");
        };
        assert_eq!(frame.into_data().unwrap(), "body");
        assert!(matches!(poll(), Poll::Ready(None)));
        assert!(!withheld.load(Ordering::SeqCst));
    }
}
