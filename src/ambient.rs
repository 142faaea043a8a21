//! Time and randomness, passed in so that nothing else asks the machine for them.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// Where the time and random tokens come from.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The time now.
    pub now: fn() -> Timestamp,
    /// The time since the machine was started, suspension included: it never goes back.
    pub boot: fn() -> Duration,
    /// Sixteen random bytes.
    pub random: fn() -> Uuid,
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is ever negative.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

impl Ambient {
    /// The machine's clock and random source: the only place that asks them.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the clock is read"
        )]
        Self {
            now: || Timestamp::now(),
            boot: since_boot,
            random: || Uuid::new_v4(),
        }
    }

    /// Generates a reference code of the gateway's own.
    #[must_use]
    pub fn reference_code(&self) -> String {
        (self.random)().to_string()
    }
}
