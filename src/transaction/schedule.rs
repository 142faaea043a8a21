//! When the next status check is due (promise 11).

use jiff::{SignedDuration, Timestamp};

use super::state::{SerialNumberStatus, State};

/// The check schedule. All times are configuration; the defaults are in the
/// configuration reference of the README.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// From the claim to the first check of a transaction that is still SENDING:
    /// longer than a POST can be in flight, so that no check overtakes it.
    pub sending: SignedDuration,
    /// From an unknown outcome to the first check.
    pub unknown_first: SignedDuration,
    /// From a pending answer to the first check.
    pub pending_first: SignedDuration,
    /// From one check to the next, while the outcome is open.
    pub delays: Vec<SignedDuration>,
    /// From one check to the next after `delays`, until `day_ends`.
    pub day_delay: SignedDuration,
    /// The age at which `late_delay` takes over.
    pub day_ends: SignedDuration,
    /// From one check to the next in the last stretch.
    pub late_delay: SignedDuration,
    /// The age at which an open outcome is put before a human.
    pub give_up_after: SignedDuration,
    /// How long a transaction that is due is left to other gateways by one that does not
    /// have its account.
    pub unconfigured_grace: SignedDuration,
    /// From one check to the next while only the serial number is awaited.
    pub serial_number: Vec<SignedDuration>,
    /// The least time between two scheduled checks of one transaction.
    pub interval_min: SignedDuration,
    /// The least time between a check and one that a callback asks for.
    pub callback_interval_min: SignedDuration,
    /// The age after which no check is sent: peers are known to turn a very old
    /// check into a new sale.
    pub age_max: SignedDuration,
}

/// What a transaction is checked for; a change of phase starts counting anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The POST may be in flight.
    Sending,
    /// The outcome is open.
    Open,
    /// Only the serial number is awaited.
    SerialNumber,
    /// Nothing is checked.
    Over,
}

impl Phase {
    /// What a transaction in this state is checked for.
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

/// What is known about the checks so far, for [`Schedule::next`].
#[derive(Clone, Copy, Debug)]
pub struct CheckHistory {
    /// When the latest attempt was armed.
    pub armed_at: Timestamp,
    /// When the phase began.
    pub phase_since: Timestamp,
    /// Scheduled checks made in this phase.
    pub made: u32,
    /// When the last check of any kind was made.
    pub last_at: Option<Timestamp>,
    /// The most by which the clocks of two gateways differ: the times above may come from
    /// two of them.
    pub clock_skew: SignedDuration,
    /// Spreads transactions that began together; any number.
    pub seed: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextCheck {
    /// Check at this time.
    At(Timestamp),
    /// The schedule has ended.
    GiveUp,
    /// Nothing: the transaction is settled.
    Nothing,
}

impl Schedule {
    /// When the next check is due.
    #[must_use]
    pub fn next(&self, state: &State, past: &CheckHistory) -> NextCheck {
        let since = past
            .last_at
            .map_or(past.phase_since, |last| last.max(past.phase_since));
        let at = match Phase::of(state) {
            Phase::Over => return NextCheck::Nothing,
            Phase::Sending => {
                return NextCheck::At(self.post_over_at(past.armed_at, past.clock_skew));
            }
            // Checks that callers and callbacks ask for push the scheduled ones ahead, but not
            // the end.
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

    /// Returns the time at which the POST of an attempt is certainly over, whichever gateway
    /// reads the clock.
    #[must_use]
    pub fn post_over_at(&self, armed_at: Timestamp, clock_skew: SignedDuration) -> Timestamp {
        later(armed_at, self.sending.saturating_add(clock_skew))
    }

    /// The earliest moment for a check that a callback or a caller asks for.
    #[must_use]
    pub fn after_callback(&self, last_check: Option<Timestamp>, now: Timestamp) -> Timestamp {
        last_check.map_or(now, |last| now.max(later(last, self.callback_interval_min)))
    }

    /// Returns the time until which the schedule goes on without checks, for want of the
    /// account: about as long again as since the attempt, but not past the end of the schedule.
    #[must_use]
    pub fn after_passing_over(&self, armed_at: Timestamp, now: Timestamp) -> Timestamp {
        let longest = self.day_delay.max(self.interval_min);
        let age = now.duration_since(armed_at);
        let next = later(now, age.clamp(self.interval_min, longest));
        let end = later(armed_at, self.give_up_after);
        if end > now { next.min(end) } else { next }
    }

    /// Returns true when the time of the schedule is up, whatever was checked.
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

    /// True when the transaction is too old for any check.
    #[must_use]
    pub fn is_too_old(&self, armed_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(armed_at) > self.age_max
    }
}

pub(super) fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

const JITTER_PERCENT: i32 = 20;

/// The delay, changed by up to 20 % either way. The seed and the number of the
/// check decide, so that the schedule stays a pure function.
fn jittered(delay: SignedDuration, past: &CheckHistory) -> SignedDuration {
    // One round of splitmix64: neighbours in, unrelated numbers out.
    let mut mixed = past
        .seed
        .wrapping_add(u64::from(past.made).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let steps = 2 * JITTER_PERCENT + 1;
    let percent = i32::try_from((mixed >> 32) % u64::from(steps.unsigned_abs())).unwrap_or(0);
    delay.saturating_mul(100 - JITTER_PERCENT + percent) / 100
}
