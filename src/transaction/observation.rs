//! Evidence from answers and callbacks.

use jiff::Timestamp;

use super::{
    change::Change, evidence::Added, record::Transaction, schedule::Schedule, statement::Statement,
};

impl Transaction {
    /// Adds statements to the evidence. Returns `None` when nothing changes.
    #[must_use]
    pub fn observe(
        &self,
        statements: impl IntoIterator<Item = Statement>,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Option<Change> {
        let mut next = self.clone();
        let mut is_event = false;
        let at = self.seen_at(now);
        for statement in statements {
            let statement = next.evidence.place(self.admit(statement));
            is_event |= next.evidence.add(statement, at) == Added::New;
        }
        is_event |= next.status() != self.status();
        (is_event || next.evidence != self.evidence)
            .then(|| next.changed(self, now, schedule, is_event))
    }

    /// Adds the report of an unconfirmed callback and requests a check, unless the report agrees
    /// with a final state. Returns `None` when nothing changes.
    #[must_use]
    pub fn observe_report(
        &self,
        report: Statement,
        agrees: bool,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Option<Change> {
        let mut next = self.clone();
        let is_repeated = agrees && self.status().state.is_terminal();
        if !is_repeated && !self.is_too_old(now, schedule) {
            next.add_check_request(now, schedule);
            next.checks.asks += 1;
        }
        let is_event = next.evidence.add(self.admit(report), self.seen_at(now)) == Added::New;
        (next != *self).then(|| next.changed(self, now, schedule, is_event))
    }
}
