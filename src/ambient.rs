//! Time and randomness, passed in so that nothing else asks the machine for them.

use jiff::Timestamp;
use uuid::Uuid;

/// Where the time and random tokens come from.
#[derive(Clone, Copy, Debug)]
pub struct Ambient {
    /// The time now.
    pub now: fn() -> Timestamp,
    /// Sixteen random bytes.
    pub random: fn() -> Uuid,
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
            random: || Uuid::new_v4(),
        }
    }
}
