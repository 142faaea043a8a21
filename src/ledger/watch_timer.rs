//! The timer of one watch: when a heartbeat is due, and when the watch ends by age.
//!
//! Each watch has one timer of the runtime, which is never set again because of an event: an early
//! expiry only sets it to the next due time. So busy watches cost no more than idle ones.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::ambient::phase_of;

/// The times of a watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchTimes {
    /// The time without a result after which a watch returns a heartbeat.
    pub heartbeat: Duration,
    /// The mean age at which a watch ends.
    pub age: Duration,
}

/// The timer of one watch.
pub(super) struct WatchTimer {
    heartbeat: Duration,
    heartbeat_at: Instant,
    ends_at: Instant,
    /// Expires at the next due time or earlier.
    sleep: Pin<Box<Sleep>>,
}

impl WatchTimer {
    /// Starts the timer of the watch with this number, which spreads the ends of watches that
    /// began together.
    pub(super) fn start(times: WatchTimes, number: u32) -> Self {
        let now = Instant::now();
        let heartbeat_at = now + times.heartbeat;
        let ends_at = now + jittered(times.age, number);
        Self {
            heartbeat: times.heartbeat,
            heartbeat_at,
            ends_at,
            sleep: Box::pin(sleep_until(heartbeat_at.min(ends_at))),
        }
    }

    /// Starts the wait for the next result, from which the heartbeat counts. A watcher that takes
    /// its messages slowly, and then asks for the next one, thus receives events before heartbeats.
    pub(super) fn await_result(&mut self) {
        self.heartbeat_at = Instant::now() + self.heartbeat;
    }

    /// Returns true when the watch has reached its age.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.ends_at
    }

    /// Returns true when a heartbeat is due.
    pub(super) fn is_heartbeat_due(&self) -> bool {
        Instant::now() >= self.heartbeat_at
    }

    /// Waits until a heartbeat is due, or the watch has reached its age. Cancellation-safe.
    pub(super) async fn due(&mut self) {
        loop {
            let next = self.heartbeat_at.min(self.ends_at);
            if Instant::now() >= next {
                return;
            }
            if self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(next);
            }
            self.sleep.as_mut().await;
        }
    }
}

/// The greatest difference of an age from its mean.
const JITTER: f64 = 0.1;

/// Returns an age with a jitter of up to 10 % either way, computed from the number of the watch, so
/// that watches that began together, as after a rollout, do not all start again at once.
fn jittered(age: Duration, number: u32) -> Duration {
    let phase = phase_of(number);
    age.mul_f64(1.0 - JITTER + 2.0 * JITTER * phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_of_watches_that_began_together_are_spread_evenly() {
        let mean = Duration::from_mins(30);
        let mut ages: Vec<Duration> = (0..1000).map(|number| jittered(mean, number)).collect();
        ages.sort_unstable();
        assert!(ages[0] >= Duration::from_mins(27), "{:?}", ages[0]);
        assert!(ages[999] <= Duration::from_mins(33), "{:?}", ages[999]);
        let closest_ten = ages.windows(10).map(|ten| ten[9].abs_diff(ten[0])).min();
        // A thousand ages in 360 s: ten of them take 3.2 s if they are spread evenly.
        assert!(
            closest_ten > Some(Duration::from_secs(2)),
            "{closest_ten:?}"
        );
    }
}
