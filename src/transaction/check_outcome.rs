//! What becomes of a transaction by a status check, or for want of one.

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
    /// Adds what a status check said, which may be nothing, and moves the
    /// schedule on. A scheduled check of a transaction that is still SENDING means
    /// that its sender is lost.
    #[must_use]
    pub fn observe_check(
        &self,
        said: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_check_since(self, said, now, schedule)
    }

    /// Adds what a status check said that began when the transaction was `began`. A
    /// check that a callback asked for meanwhile is still to be made.
    #[must_use]
    pub fn observe_check_since(
        &self,
        began: &Self,
        said: Option<Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, said, false, now, schedule)
    }

    /// Adds what a check showed that OKEBAYAR answered without any sign of the transaction: it
    /// proves nothing, but an operator may rest a decision on it.
    #[must_use]
    pub fn observe_absence_since(
        &self,
        began: &Self,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        self.observe_checked(began, None, true, now, schedule)
    }

    pub(super) fn observe_checked(
        &self,
        began: &Self,
        said: Option<Statement>,
        is_absent: bool,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Change {
        // What a check said of one attempt says nothing of a later one, which may be in
        // flight now; but a success is money spent, whichever attempt spent it.
        let is_of_this = began.token() == self.token();
        let said = said.filter(|said| is_of_this || said.finding == Finding::Succeeded);
        let mut checked = self.clone();
        if is_absent && is_of_this {
            checked.checks.absent_attempt = Some(self.attempt.number);
        }
        let due = checked.checks.next_at.is_some_and(|next| next <= now);
        checked.checks.last_at = Some(now);
        checked.checks.asked_at = None;
        checked.checks.passed_over_until = None;
        // SUBTLE: 1. the check begins; 2. a callback asks for one, which changes no time
        // if one is asked for already; 3. the check ends. Its answer may be older than
        // what the callback reports, so the request of 2 stands.
        if self.checks.asked_at.is_some() && self.checks.asks != began.checks.asks {
            checked.checks.asked_at = Some(schedule.after_callback(Some(now), now));
        }
        if due {
            checked.checks.made += 1;
        }
        let sender_lost = (due && self.checks.phase == Phase::Sending).then(sender_lost);
        let change = checked.observe(said.into_iter().chain(sender_lost), now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let next = change.map_or(checked, |change| (*change.transaction).clone());
        // A check that left the state open may have been the last of its schedule.
        let given_up = match (next.next(schedule), next.checks.phase) {
            (NextCheck::GiveUp, Phase::SerialNumber) => Some(Finding::SerialNumberGivenUp),
            (NextCheck::GiveUp, _) => Some(Finding::ChecksExhausted),
            _ => None,
        };
        let mut next = next;
        if let Some(finding) = given_up {
            let at = next.seen_at(now);
            next.evidence
                .add(Statement::bare(Source::Gateway, finding), at);
        }
        next.revision = self.revision;
        next.changed(self, now, schedule, is_event || given_up.is_some())
    }

    /// Moves the schedule on without a check, because no gateway has the account: this
    /// counts as no check made, so that only time ends the schedule. Checks go on when the
    /// account returns. `None` when nothing is due.
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
        let is_lost =
            phase == Phase::Sending && self.checks.next_at.is_some_and(|next| next <= now);
        let change = self.observe(is_lost.then(sender_lost), now, schedule);
        let is_event = change.as_ref().is_some_and(|change| change.is_event);
        let mut next = change.map_or_else(|| self.clone(), |made| (*made.transaction).clone());
        next.checks.asked_at = None;
        next.checks.passed_over_until = Some(schedule.after_passing_over(armed_at, now));
        next.revision = self.revision;
        Some(next.changed(self, now, schedule, is_event))
    }

    /// Gives up without a check: the transaction is too old for one. `None` when
    /// there is nothing to give up.
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
            let said = Statement::bare(Source::Gateway, finding);
            given_up.evidence.add(said, self.seen_at(now));
        }
        (given_up != *self).then(|| given_up.changed(self, now, schedule, finding.is_some()))
    }

    /// Asks for a check at the earliest allowed moment; `None` when one is asked
    /// for already.
    #[must_use]
    pub fn ask_check(&self, now: Timestamp, schedule: &Schedule) -> Option<Change> {
        let mut next = self.clone();
        next.ask(now, schedule);
        (next != *self).then(|| next.changed(self, now, schedule, false))
    }
}

/// Builds the statement that a transaction was still SENDING when its POST was certainly over.
fn sender_lost() -> Statement {
    Statement::bare(Source::Gateway, Finding::Unknown(UnknownCause::SenderLost))
}
