//! The effect of a status check, or of its absence, on a transaction.

use jiff::Timestamp;

use super::{
    change::Change,
    check_progress::CheckProgress,
    finding::{Finding, Source, UnknownCause},
    record::Transaction,
    schedule::{NextCheck, Phase, Schedule},
    statement::Statement,
};

impl Transaction {
    /// Adds the statement of a status check, if it made one, and advances the schedule. A scheduled
    /// check of a transaction that is still SENDING shows that its sender is lost.
    #[must_use]
    pub fn observe_check(
        &self,
        statement: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_check_since(self, statement, now, schedule)
    }

    /// Adds the statement of a status check that began at version `began`. A check that a callback
    /// requested in the meantime is still due.
    #[must_use]
    pub fn observe_check_since(
        &self,
        began: &Self,
        statement: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, statement, false, now, schedule)
    }

    /// Records a check that OKEBAYAR answered without any sign of the transaction. It proves
    /// nothing, but an operator may base a decision on it.
    #[must_use]
    pub fn observe_absence_since(
        &self,
        began: &Self,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, None, true, now, schedule)
    }

    fn observe_checked(
        &self,
        began: &Self,
        statement: Option<Statement>,
        is_absent: bool,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        // A check of one attempt proves nothing about a later one, which may be in flight now. But
        // a success is money spent, whichever attempt spent it.
        let is_of_this = began.token() == self.token();
        let statement =
            statement.filter(|statement| is_of_this || statement.finding == Finding::Succeeded);
        let mut checked = self.with_check_made(began, now, schedule);
        if is_absent && is_of_this {
            checked.checks.absent_attempt = Some(self.attempt.number);
        }
        let sender_lost = self.is_sender_lost(now).then(sender_lost);
        let statements = statement.into_iter().chain(sender_lost);
        let change = checked.observe(statements, now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let mut next = change.map_or(checked, |change| (*change.transaction).clone());
        // A check that leaves the state open may have been the last of its schedule.
        let given_up = match (next.next(schedule), next.checks.phase) {
            (NextCheck::GiveUp, Phase::SerialNumber) => Some(Finding::SerialNumberGivenUp),
            (NextCheck::GiveUp, _) => Some(Finding::ChecksExhausted),
            _ => None,
        };
        if let Some(finding) = given_up {
            let at = next.seen_at(now);
            next.evidence
                .add(Statement::bare(Source::Gateway, finding), at);
        }
        next.revision = self.revision;
        next.changed(self, now, schedule, is_event || given_up.is_some())
    }

    /// Returns the transaction with a check recorded in its progress.
    fn with_check_made(&self, began: &Self, now: Timestamp, schedule: &Schedule) -> Self {
        let mut checked = self.clone();
        checked.checks.last_at = Some(now);
        checked.checks.asked_at = None;
        checked.checks.passed_over_until = None;
        // SUBTLE: 1. The check begins. 2. A callback requests a check, which changes no time if one
        // is requested already. 3. The check ends. Its answer may be older than the callback's
        // report, so the request of step 2 remains.
        if self.checks.asked_at.is_some() && self.checks.asks != began.checks.asks {
            checked.checks.asked_at = Some(schedule.after_callback(Some(now), now));
        }
        if self.is_scheduled_check_due(now) {
            checked.checks.made += 1;
        }
        checked
    }

    fn is_scheduled_check_due(&self, now: Timestamp) -> bool {
        self.checks.next_at.is_some_and(|next| next <= now)
    }

    /// Returns true when the transaction is still SENDING though its POST is certainly over.
    fn is_sender_lost(&self, now: Timestamp) -> bool {
        self.checks.phase == Phase::Sending && self.is_scheduled_check_due(now)
    }

    /// Advances the schedule without a check, because no gateway has the account. This does not
    /// count as a check, so only time ends the schedule; checks resume when the account returns.
    /// Returns `None` when nothing is due.
    #[must_use]
    pub fn pass_over(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        if self.due_at().is_none_or(|due| due > now) {
            return None;
        }
        let CheckProgress {
            phase, phase_since, ..
        } = self.checks;
        let armed_at = self.attempt.armed_at;
        if schedule.has_run_out(phase, armed_at, phase_since, now) {
            return self.give_up(now, schedule);
        }
        let sender_lost = self.is_sender_lost(now).then(sender_lost);
        let change = self.observe(sender_lost, now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let mut next = change.map_or_else(|| self.clone(), |made| (*made.transaction).clone());
        next.checks.asked_at = None;
        next.checks.passed_over_until = Some(schedule.after_passing_over(armed_at, now));
        next.revision = self.revision;
        Some(next.changed(self, now, schedule, is_event))
    }

    /// Ends the schedule without a check, because the transaction is too old for one. Returns
    /// `None` when there is nothing to end.
    #[must_use]
    pub fn give_up(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        let finding = match Phase::of(&self.status().state) {
            Phase::SerialNumber => Some(Finding::SerialNumberGivenUp),
            Phase::Sending | Phase::Open => Some(Finding::ChecksExhausted),
            Phase::Over => None,
        };
        let mut given_up = self.clone();
        given_up.checks.asked_at = None;
        if let Some(finding) = finding {
            let statement = Statement::bare(Source::Gateway, finding);
            given_up.evidence.add(statement, self.seen_at(now));
        }
        (given_up != *self).then(|| given_up.changed(self, now, schedule, finding.is_some()))
    }

    /// Requests a check at the earliest allowed time. Returns `None` when one is requested already.
    #[must_use]
    pub fn request_check(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        let mut next = self.clone();
        next.add_check_request(now, schedule);
        (next != *self).then(|| next.changed(self, now, schedule, false))
    }
}

/// Builds the statement that a transaction was still SENDING when its POST was certainly over.
fn sender_lost() -> Statement {
    Statement::bare(Source::Gateway, Finding::Unknown(UnknownCause::SenderLost))
}
