//! How an operator releases what the failover guard held back: the guard was ended
//! because the store lost nothing, so an attempt that was held back was the first.
//!
//! The operator vouches for the store, OKEBAYAR for the reference code: both are needed.
//! Whatever hints that an earlier attempt was sent keeps the transaction open.

use jiff::Timestamp;

use super::{
    change::Change,
    finding::{Finding, NotSent, Source},
    record::Transaction,
    schedule::Schedule,
    state::State,
    statement::{Resolution, Statement},
};

/// An operator's decision that nothing was lost.
#[derive(Clone, Debug)]
pub struct Release {
    /// Who decided, as the timeline shows it.
    pub operator: String,
    /// Why nothing is lost.
    pub reason: String,
}

/// Why a transaction is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReleased {
    /// It is not held back, or is settled.
    #[error("it is not held back any more")]
    NotQuarantined,
    /// A callback named the reference code.
    #[error("a callback named it, so it may have been sent before")]
    CalledBack,
    /// OKEBAYAR, or a gateway that sent it, knows more of it than nothing.
    #[error("there is evidence that it was sent before")]
    MayBeSent,
    /// No check was answered since it was held back.
    #[error("OKEBAYAR has not answered a check of it yet")]
    NotChecked,
}

impl Transaction {
    /// Makes an attempt that was held back NOT_SENT.
    ///
    /// # Errors
    /// [`NotReleased`] unless a check was answered since without any sign of the transaction,
    /// and nothing else is known of it.
    pub fn release(
        &self,
        by: &Release,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Result<Change, NotReleased> {
        let is_open = matches!(self.status().state, State::Confirming(_));
        if !is_open || !self.is_quarantined() {
            return Err(NotReleased::NotQuarantined);
        }
        let mut is_absent = self.checks.absent_attempt == Some(self.attempt.number);
        for (said, seen) in self.evidence.iter() {
            match (said.source, said.finding) {
                (Source::Callback, _) => return Err(NotReleased::CalledBack),
                (_, Finding::NotSent { .. }) => {}
                // Everything seen before the attempt is earlier (`arm_again`).
                (Source::Check, Finding::NotReceived) => {
                    is_absent |= seen.last >= self.attempt.armed_at;
                }
                _ => return Err(NotReleased::MayBeSent),
            }
        }
        if !is_absent {
            return Err(NotReleased::NotChecked);
        }
        let unsent = Finding::NotSent {
            attempt: self.attempt.number,
            why: NotSent::Quarantined,
        };
        let resolution = Resolution {
            operator: by.operator.clone(),
            note: by.reason.clone(),
            revision: self.revision,
            serial_number: None,
            saw: std::collections::BTreeSet::new(),
        };
        let said = Statement {
            resolution: Some(Box::new(resolution)),
            ..Statement::bare(Source::Operator, unsent)
        };
        self.observe([said], now, schedule)
            .ok_or(NotReleased::NotQuarantined)
    }
}
