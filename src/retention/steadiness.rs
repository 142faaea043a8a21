//! The steadiness of the clock after a jump; pure.
//!
//! A machine may boot with a clock that is months ahead, until it is set. Everything would end at
//! once, and could be bought again after the clock is set back. So nothing ends while the clock is
//! far ahead of the last pass, until it has been steady for long enough that it would have been set.
//! An installation that was switched off for a week waits for that time only.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The greatest time between two passes that is no jump of the clock.
const JUMP: SignedDuration = SignedDuration::from_hours(48);
/// The time after a jump in which no tombstones are removed, so that a clock that is set late brings
/// none back that is missing.
const TOMBSTONES_KEPT: SignedDuration = SignedDuration::from_hours(48);

/// The readings of two clocks at one moment: that of the machine's time, and that since it booted.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) now: Timestamp,
    pub(super) boot: Duration,
}

/// The clock since a jump of it was noticed.
#[derive(Default)]
pub(super) struct Steadiness {
    since: Option<Reading>,
}

impl Steadiness {
    /// Returns true when the clock may be trusted: it is not far ahead of the last pass, or has been
    /// steady for `settled` since that was noticed, up to `skew`.
    pub(super) fn is_trusted(
        &mut self,
        reading: Reading,
        last_pass: Timestamp,
        (settled, skew): (Duration, SignedDuration),
    ) -> bool {
        if !is_jump(last_pass, reading.now) {
            self.since = None;
            return true;
        }
        let since = *self.since.get_or_insert(reading);
        let passed = reading.boot.saturating_sub(since.boot);
        let expected = since.now.checked_add(passed).unwrap_or(Timestamp::MAX);
        if reading.now.duration_since(expected).abs() > skew {
            self.since = Some(reading);
            return false;
        }
        passed >= settled
    }
}

/// Returns true when a time is so much later than the last pass that the clock may be wrong.
pub(super) fn is_jump(last_pass: Timestamp, now: Timestamp) -> bool {
    now.duration_since(last_pass) > JUMP
}

/// Returns true when tombstones may be removed by a clock that has not jumped since a time.
pub(super) fn is_steady(steady_since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(steady_since) > TOMBSTONES_KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const SETTLES: (Duration, SignedDuration) = (HOUR, SignedDuration::from_mins(1));

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn reading(hours: i64, boot_minutes: u64) -> Reading {
        Reading {
            now: at(hours),
            boot: Duration::from_mins(boot_minutes),
        }
    }

    #[test]
    fn clock_is_trusted_after_a_jump_once_it_was_steady() {
        let mut steadiness = Steadiness::default();
        assert!(steadiness.is_trusted(reading(48, 0), at(0), SETTLES));
        assert!(!steadiness.is_trusted(reading(168, 0), at(0), SETTLES));
        let later = Reading {
            now: at(168) + SignedDuration::from_mins(59),
            boot: Duration::from_mins(59),
        };
        assert!(!steadiness.is_trusted(later, at(0), SETTLES));
        assert!(steadiness.is_trusted(reading(169, 60), at(0), SETTLES));
    }

    #[test]
    fn clock_that_jumps_again_is_observed_anew() {
        let mut steadiness = Steadiness::default();
        assert!(!steadiness.is_trusted(reading(10_000, 0), at(0), SETTLES));
        assert!(!steadiness.is_trusted(reading(20_000, 60), at(0), SETTLES));
        assert!(!steadiness.is_trusted(reading(20_000, 60), at(0), SETTLES));
        assert!(steadiness.is_trusted(reading(20_001, 120), at(0), SETTLES));
        // Set back, and ahead once more.
        assert!(steadiness.is_trusted(reading(1, 121), at(0), SETTLES));
        assert!(!steadiness.is_trusted(reading(20_002, 181), at(0), SETTLES));
    }

    #[test]
    fn tombstones_stay_for_two_days_after_a_jump() {
        assert!(!is_steady(at(0), at(48)));
        assert!(is_steady(at(0), at(49)));
    }
}
