//! The times at which a transaction is due for a status check.

use jiff::Timestamp;

use super::{
    check_progress::CheckProgress,
    record::Transaction,
    schedule::{CheckHistory, NextCheck, Phase, Schedule, later},
    state::State,
};

impl Transaction {
    /// Returns the time at which the next check is due; `None` when none is.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        self.checks
            .next_at
            .into_iter()
            .chain(self.checks.asked_at)
            .min()
    }

    /// Returns the time at which a check is due that a callback or a caller requested; `None` when
    /// none is.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.checks.asked_at
    }

    /// Returns the time of the latest status check, with any result.
    #[must_use]
    pub fn last_checked_at(&self) -> Option<Timestamp> {
        self.checks.last_at
    }

    /// Returns the time until which the POST may be in flight; `None` once its outcome, or the lack
    /// of one, is known.
    #[must_use]
    pub fn sending_until(&self, schedule: &Schedule) -> Option<Timestamp> {
        (self.status().state == State::Sending).then(|| self.post_over_at(schedule))
    }

    /// Returns the time at which the POST of the latest attempt is certainly over, whichever gateway
    /// armed it.
    #[must_use]
    pub fn post_over_at(&self, schedule: &Schedule) -> Timestamp {
        let until = schedule.post_over_at(self.attempt.armed_at, self.rules.clock_skew);
        until.max(self.attempt.post_over_at.unwrap_or(until))
    }

    /// Returns the earliest time for a requested check: none may overtake the POST.
    pub(super) fn earliest_check(&self, now: Timestamp, schedule: &Schedule) -> Timestamp {
        let earliest = schedule.after_callback(self.checks.last_at, now);
        let sending_until = self.sending_until(schedule);
        sending_until.map_or(earliest, |until| earliest.max(until))
    }

    /// Returns true when a check may be requested: the POST is over, and was not too long ago.
    #[must_use]
    pub fn may_be_checked(&self, now: Timestamp, schedule: &Schedule) -> bool {
        let was_sent = !matches!(self.status().state, State::Sending | State::NotSent(_));
        was_sent && !self.is_too_old(now, schedule)
    }

    /// Returns true when the transaction may be too old for any check, whichever gateway armed it.
    #[must_use]
    pub fn is_too_old(&self, now: Timestamp, schedule: &Schedule) -> bool {
        let at_most = later(self.seen_at(now), self.rules.clock_skew);
        schedule.is_too_old(self.attempt.armed_at, at_most)
    }

    /// Requests a check at the earliest allowed time.
    pub(super) fn add_check_request(&mut self, now: Timestamp, schedule: &Schedule) {
        let earliest = self.earliest_check(now, schedule);
        let asked = self
            .checks
            .asked_at
            .map_or(earliest, |asked| asked.min(earliest));
        self.checks.asked_at = Some(asked);
    }

    /// Returns the next step of the schedule.
    pub(super) fn next(&self, schedule: &Schedule) -> NextCheck {
        if let Some(until) = self.sending_until(schedule) {
            return NextCheck::At(until);
        }
        let past = CheckHistory {
            armed_at: self.attempt.armed_at,
            phase_since: self.checks.phase_since,
            made: self.checks.made,
            last_at: self.checks.last_at,
            clock_skew: self.rules.clock_skew,
            seed: self.attempt.token.0.as_u64_pair().1,
        };
        schedule.next(&self.status().state, &past)
    }

    /// Returns the transaction with its checks rescheduled for its current state.
    pub(super) fn rescheduled(mut self, now: Timestamp, schedule: &Schedule) -> Self {
        let phase = Phase::of(&self.status().state);
        if phase == Phase::Sending {
            // A check that was requested under an earlier attempt waits for this one's POST.
            let earliest = self.earliest_check(now, schedule);
            self.checks.asked_at = self.checks.asked_at.map(|asked| asked.max(earliest));
        } else if self.checks.phase == Phase::Sending {
            // The POST is over: the usual minimum interval applies.
            let earliest = self.earliest_check(now, schedule);
            self.checks.asked_at = self.checks.asked_at.map(|asked| asked.min(earliest));
        }
        if phase != self.checks.phase {
            self.checks = CheckProgress {
                phase,
                phase_since: now,
                made: 0,
                passed_over_until: None,
                ..self.checks
            };
        }
        let at = match self.next(schedule) {
            NextCheck::At(at) => Some(at),
            NextCheck::GiveUp => Some(now),
            NextCheck::NotNeeded => None,
        };
        self.checks.next_at = at.max(at.and(self.checks.passed_over_until));
        self
    }
}
