//! The creation of a transaction, and its arming for another attempt.

use std::sync::Arc;

use super::{
    attempt::{Arming, Attempt, QuarantinedAttempt},
    change::Change,
    check_progress::CheckProgress,
    evidence::EvidenceSet,
    intent::Intent,
    order::Order,
    record::Transaction,
    rules::Rules,
    schedule::{Phase, Schedule},
    state::State,
    unrecognized::Unrecognized,
};

/// The error of a transaction that may not be armed again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a transaction that is {state} cannot be armed again: only NOT_SENT can")]
pub struct CannotArm {
    state: &'static str,
}

impl Transaction {
    /// Builds the first version of a transaction: SENDING with attempt 1 armed, or CONFIRMING if
    /// the attempt is quarantined.
    #[must_use]
    pub fn begin(
        intent: Intent,
        order: Order,
        arming: Arming,
        rules: Rules,
        schedule: &Schedule,
    ) -> Change {
        let now = arming.at;
        let mut transaction = Self {
            account: intent.account,
            reference_code: intent.reference_code,
            contents: intent.contents,
            order,
            trace: intent.trace,
            omits_hyphens: arming.omits_hyphens,
            max_price: intent.guards.max_price,
            labels: intent.labels,
            created_at: now,
            updated_at: now,
            attempt: Attempt::new(1, arming, schedule, rules.clock_skew),
            quarantined: Vec::new(),
            is_rewritten: false,
            rules,
            evidence: EvidenceSet::default(),
            checks: CheckProgress {
                phase: Phase::Sending,
                phase_since: now,
                made: 0,
                last_at: None,
                next_at: None,
                asked_at: None,
                passed_over_until: None,
                absent_attempt: None,
                asks: 0,
            },
            erased: None,
            revision: 1,
            version: 1,
            unrecognized: Unrecognized::default(),
        };
        transaction.note_quarantine(arming);
        let transaction = Arc::new(transaction.rescheduled(now, schedule));
        Change {
            transaction,
            from: None,
            is_event: true,
            releases: None,
        }
    }

    /// Arms a transaction for another attempt, after one that sent nothing.
    ///
    /// # Errors
    /// [`CannotArm`] in any state but NOT_SENT (promise 1).
    pub fn arm_again(
        &self,
        order: Order,
        arming: Arming,
        schedule: &Schedule,
    ) -> Result<Change, CannotArm> {
        let state = self.status().state;
        if !matches!(state, State::NotSent(_)) {
            return Err(CannotArm {
                state: state.name(),
            });
        }
        let mut next = self.clone();
        next.order = order;
        // Everything seen before belongs to an earlier attempt, whichever gateway read the clock.
        let arming = Arming {
            at: self.seen_at(arming.at),
            ..arming
        };
        next.attempt = Attempt::new(
            self.attempt.number + 1,
            arming,
            schedule,
            self.rules.clock_skew,
        );
        next.unrecognized.forget_attempt();
        next.note_quarantine(arming);
        Ok(next.changed(self, arming.at, schedule, true))
    }

    fn note_quarantine(&mut self, arming: Arming) {
        if arming.is_quarantined {
            self.quarantined.push(QuarantinedAttempt {
                attempt: self.attempt.number,
                at: arming.at,
            });
        }
    }
}
