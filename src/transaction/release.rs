//! The release of a quarantined transaction by an operator.
//!
//! The operator ended the failover guard because the store lost nothing, so the quarantined attempt
//! was the first. A release requires both the operator's confirmation for the store and OKEBAYAR's
//! answer for the reference code. Any sign that an earlier attempt was sent keeps the transaction
//! open.

use jiff::Timestamp;

use super::{
    change::Change,
    finding::{Finding, NotSent, Source},
    record::Transaction,
    schedule::Schedule,
    state::State,
    statement::{Resolution, Statement},
};

/// An operator's decision that the store lost nothing.
#[derive(Clone, Debug)]
pub struct Release {
    /// The name of the operator, as the timeline shows it.
    pub operator: String,
    /// The reason why nothing was lost.
    pub reason: String,
}

/// The reason why a transaction is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReleased {
    /// The transaction is not quarantined, or is settled.
    #[error("it is no longer quarantined")]
    NotQuarantined,
    /// A callback named the reference code.
    #[error("a callback named it, so an earlier attempt may have been sent")]
    CalledBack,
    /// There is evidence from OKEBAYAR, or from a gateway that sent the transaction.
    #[error("there is evidence that an earlier attempt was sent")]
    MayBeSent,
    /// OKEBAYAR has answered no check since the transaction was quarantined.
    #[error("OKEBAYAR has not answered a check of it yet")]
    NotChecked,
}

impl Transaction {
    /// Settles a quarantined transaction as NOT_SENT.
    ///
    /// # Errors
    /// [`NotReleased`] unless a check has since been answered without any sign of the
    /// transaction, and there is no other evidence.
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
        for (statement, seen) in self.evidence.iter() {
            match (statement.source, statement.finding) {
                (Source::Callback, _) => return Err(NotReleased::CalledBack),
                (_, Finding::NotSent { .. }) => {}
                // `arm_again` arms an attempt later than everything seen before it.
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
        let statement = Statement {
            resolution: Some(Box::new(resolution)),
            ..Statement::bare(Source::Operator, unsent)
        };
        self.observe([statement], now, schedule)
            .ok_or(NotReleased::NotQuarantined)
    }
}
