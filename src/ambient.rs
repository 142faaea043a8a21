//! The clock and the source of randomness, passed as values so that nothing else reads them.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// The sources of time and randomness.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// Returns the current time.
    pub now: fn() -> Timestamp,
    /// Returns the time since the machine booted, suspension included. It never decreases.
    pub boot: fn() -> Duration,
    /// Returns sixteen random bytes.
    pub random: fn() -> Uuid,
}

/// Returns the time since the machine booted.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither part is ever negative.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

impl Ambient {
    /// Returns the clocks and the random source of the machine. No other code reads them.
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

/// Returns the phase, between 0 and 1, of the n-th of any number of events that should not happen
/// together. Multiples of the golden ratio are spread evenly, whatever their number
/// (docs/decisions/0005-jitter-without-chance.md).
#[must_use]
pub fn phase_of(number: u32) -> f64 {
    f64::from(number.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX)
}
