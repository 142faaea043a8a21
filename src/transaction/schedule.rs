//! The schedule of status checks (promise 11).

use jiff::{SignedDuration, Timestamp};

use super::state::{SerialNumberStatus, State};

/// The schedule of status checks. All times are configured; docs/CONFIGURATION.md has the defaults.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The delay from the claim to the first check of a transaction that is still SENDING. It is
    /// longer than a POST can be in flight, so that no check overtakes the POST.
    pub sending: SignedDuration,
    /// The delay from an unknown outcome to the first check.
    pub unknown_first: SignedDuration,
    /// The delay from a pending answer to the first check.
    pub pending_first: SignedDuration,
    /// The delays between checks while the outcome is open.
    pub delays: Vec<SignedDuration>,
    /// The delay between checks after `delays`, until `day_ends`.
    pub day_delay: SignedDuration,
    /// The age from which `late_delay` applies.
    pub day_ends: SignedDuration,
    /// The delay between checks after `day_ends`.
    pub late_delay: SignedDuration,
    /// The age at which an open outcome escalates to manual review.
    pub give_up_after: SignedDuration,
    /// The time for which a gateway without the account of a due transaction leaves it to other
    /// gateways.
    pub unconfigured_grace: SignedDuration,
    /// The delays between checks while only the serial number is missing.
    pub serial_number: Vec<SignedDuration>,
    /// The least time between two scheduled checks of one transaction.
    pub interval_min: SignedDuration,
    /// The least time between a check and one that a callback requests.
    pub callback_interval_min: SignedDuration,
    /// The age after which no check is sent: peers are known to process a check of a very old
    /// transaction as a new sale.
    pub age_max: SignedDuration,
}

/// The purpose of the checks of a transaction. A change of phase resets the number of checks made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The POST may be in flight.
    Sending,
    /// The outcome is open.
    Open,
    /// Only the serial number is missing.
    SerialNumber,
    /// No checks are made.
    Over,
}

impl Phase {
    /// Returns the phase of a transaction in this state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        match state {
            State::Sending => Self::Sending,
            State::Pending | State::Confirming(_) => Self::Open,
            State::Succeeded {
                serial_number: SerialNumberStatus::Pending,
                ..
            } => Self::SerialNumber,
            _ => Self::Over,
        }
    }
}

/// The history of the checks of a transaction, from which [`Schedule::next`] derives the next.
#[derive(Clone, Copy, Debug)]
pub struct CheckHistory {
    /// The time at which the latest attempt was armed.
    pub armed_at: Timestamp,
    /// The time at which the phase began.
    pub phase_since: Timestamp,
    /// The number of scheduled checks made in this phase.
    pub made: u32,
    /// The time of the latest check of any kind.
    pub last_at: Option<Timestamp>,
    /// The greatest difference between the clocks of two gateways: the times above may come from
    /// two of them.
    pub clock_skew: SignedDuration,
    /// Any number; it spreads the checks of transactions that began together.
    pub seed: u64,
}

/// The next step of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCheck {
    /// Check at this time.
    At(Timestamp),
    /// Give up: the schedule has ended.
    GiveUp,
    /// No check: the transaction is settled.
    NotNeeded,
}

impl Schedule {
    /// Returns the next step for a transaction.
    #[must_use]
    pub fn next(&self, state: &State, past: &CheckHistory) -> NextCheck {
        let since = past
            .last_at
            .map_or(past.phase_since, |last| last.max(past.phase_since));
        let at = match Phase::of(state) {
            Phase::Over => return NextCheck::NotNeeded,
            Phase::Sending => {
                return NextCheck::At(self.post_over_at(past.armed_at, past.clock_skew));
            }
            // Requested checks postpone the scheduled ones, but not the end of the schedule.
            Phase::Open
                if past.last_at.is_some_and(|last| last >= past.phase_since)
                    && since.duration_since(past.armed_at)
                        >= self.give_up_after.saturating_add(past.clock_skew) =>
            {
                return NextCheck::GiveUp;
            }
            Phase::Open => later(since, jittered(self.open_delay(state, past, since), past)),
            Phase::SerialNumber => match self.serial_number.get(past.made as usize) {
                Some(delay) => later(since, jittered(*delay, past)),
                None => return NextCheck::GiveUp,
            },
        };
        let earliest = past
            .last_at
            .map_or(at, |last| later(last, self.interval_min));
        NextCheck::At(at.max(earliest))
    }

    /// Returns the delay to the next check of a transaction whose outcome is open.
    fn open_delay(&self, state: &State, past: &CheckHistory, since: Timestamp) -> SignedDuration {
        let made = past.made as usize;
        let pending = *state == State::Pending;
        let delay = match made {
            0 if pending => return self.pending_first,
            0 => return self.unknown_first,
            n => self.delays.get(n - 1).copied(),
        };
        let age = since.duration_since(past.armed_at);
        match delay {
            Some(delay) if pending => delay.max(self.pending_first),
            Some(delay) => delay,
            None if age < self.day_ends => self.day_delay,
            None => self.late_delay,
        }
    }

    /// Returns the time at which the POST of an attempt is certainly over, whichever gateway reads
    /// the clock.
    #[must_use]
    pub fn post_over_at(&self, armed_at: Timestamp, clock_skew: SignedDuration) -> Timestamp {
        later(armed_at, self.sending.saturating_add(clock_skew))
    }

    /// Returns the earliest time for a check that a callback or a caller requests.
    #[must_use]
    pub fn after_callback(&self, last_check: Option<Timestamp>, now: Timestamp) -> Timestamp {
        last_check.map_or(now, |last| now.max(later(last, self.callback_interval_min)))
    }

    /// Returns the time until which a transaction is not checked because no gateway has its
    /// account. The delay equals the age of the attempt, within `interval_min` and `day_delay`. It ends
    /// with the schedule, unless that has ended already.
    #[must_use]
    pub fn after_passing_over(&self, armed_at: Timestamp, now: Timestamp) -> Timestamp {
        let longest = self.day_delay.max(self.interval_min);
        let age = now.duration_since(armed_at);
        let next = later(now, age.clamp(self.interval_min, longest));
        let end = later(armed_at, self.give_up_after);
        if end > now { next.min(end) } else { next }
    }

    /// Returns true when the schedule has ended by time, regardless of the number of checks.
    #[must_use]
    pub fn has_run_out(
        &self,
        phase: Phase,
        armed_at: Timestamp,
        phase_since: Timestamp,
        now: Timestamp,
    ) -> bool {
        match phase {
            Phase::Sending | Phase::Open => now.duration_since(armed_at) >= self.give_up_after,
            Phase::SerialNumber => {
                let delays = self.serial_number.iter();
                let lasts = delays.fold(SignedDuration::ZERO, |sum, delay| {
                    sum.saturating_add(*delay)
                });
                now.duration_since(phase_since) >= lasts
            }
            Phase::Over => false,
        }
    }

    /// Returns true when the transaction is too old for any check.
    #[must_use]
    pub fn is_too_old(&self, armed_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(armed_at) > self.age_max
    }
}

/// Returns a later time, saturating at [`Timestamp::MAX`].
pub(super) fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

const JITTER_PERCENT: i32 = 20;

/// Returns the delay with a jitter of up to 20 % either way. The jitter depends on the seed and on
/// the number of the check alone, so that the schedule remains a pure function.
fn jittered(delay: SignedDuration, past: &CheckHistory) -> SignedDuration {
    // One round of splitmix64: it maps neighbouring numbers to unrelated ones.
    let mut mixed = past
        .seed
        .wrapping_add(u64::from(past.made).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let steps = 2 * JITTER_PERCENT + 1;
    let percent = i32::try_from((mixed >> 32) % u64::from(steps.unsigned_abs())).unwrap_or(0);
    delay.saturating_mul(100 - JITTER_PERCENT + percent) / 100
}
