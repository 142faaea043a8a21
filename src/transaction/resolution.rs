//! The resolution of a transaction by an operator, where evidence cannot settle it (promise 8).
//!
//! A resolution is one more statement in the set. It names the proofs that the operator saw. A
//! proof that it does not name and that contradicts it escalates the transaction to manual review
//! again.

use jiff::Timestamp;

use super::{
    change::Change,
    finding::{Finding, Source, Verdict},
    record::Transaction,
    schedule::Schedule,
    serial_number::SerialNumber,
    state::State,
    statement::{Resolution, Statement},
};

/// An operator's ruling on a transaction.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// The name of the operator.
    pub operator: String,
    /// The operator's reasons.
    pub note: String,
    /// The serial number that the operator learnt, if any.
    pub serial_number: Option<SerialNumber>,
    /// The revision that the operator saw.
    pub revision: u64,
}

/// The reason why a transaction is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotResolve {
    /// The transaction changed after the operator read it.
    #[error("it has changed and is at revision {0} now; read it again")]
    Changed(u64),
    /// Only a transaction in NEEDS_REVIEW can be settled, and only a success be reversed.
    #[error("it is {0}; only NEEDS_REVIEW can be settled, and only a proven success be reversed")]
    WrongState(&'static str),
}

impl Transaction {
    /// Settles a transaction in NEEDS_REVIEW, or reverses a success. Returns `None` when the same
    /// ruling was recorded before.
    ///
    /// # Errors
    /// [`CannotResolve`] when the transaction has changed since, or its state does not allow it.
    pub fn resolve(
        &self,
        ruling: &Ruling,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Result<Option<Change>, CannotResolve> {
        let is_same = |statement: &Statement| {
            statement.finding == Finding::Resolved(ruling.verdict)
                && statement.resolution.as_ref().is_some_and(|known| {
                    (&known.operator, &known.note, known.revision)
                        == (&ruling.operator, &ruling.note, ruling.revision)
                })
        };
        if self
            .evidence
            .iter()
            .any(|(statement, _)| is_same(statement))
        {
            return Ok(None);
        }
        if self.revision != ruling.revision {
            return Err(CannotResolve::Changed(self.revision));
        }
        let state = self.status().state;
        let may = match (&state, ruling.verdict) {
            (State::NeedsReview { receipt, .. }, Verdict::Reversed) => receipt.is_some(),
            (State::NeedsReview { .. }, _) | (State::Succeeded { .. }, Verdict::Reversed) => true,
            _ => false,
        };
        if !may {
            return Err(CannotResolve::WrongState(state.name()));
        }
        let resolution = Resolution {
            operator: ruling.operator.clone(),
            note: ruling.note.clone(),
            revision: ruling.revision,
            serial_number: ruling.serial_number.clone(),
            saw: self.proofs().map(Statement::identity).collect(),
        };
        let statement = Statement {
            resolution: Some(Box::new(resolution)),
            ..Statement::bare(Source::Operator, Finding::Resolved(ruling.verdict))
        };
        Ok(self.observe([statement], now, schedule))
    }
}
