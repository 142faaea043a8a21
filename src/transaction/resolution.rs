//! How a human settles what evidence cannot (promise 8).
//!
//! A resolution is one more statement in the set. It names the proofs that its
//! author saw; a proof that it does not name and that contradicts it puts the
//! transaction before a human again.

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

/// What an operator says.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// What they found out.
    pub verdict: Verdict,
    /// Who they are.
    pub operator: String,
    /// On what evidence.
    pub note: String,
    /// The serial number that they were told, if any.
    pub serial_number: Option<SerialNumber>,
    /// The revision that they saw.
    pub revision: u64,
}

/// Why a transaction is not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotResolve {
    /// It changed since the operator looked.
    #[error("it is at revision {0} by now; look at it again")]
    Changed(u64),
    /// Only what needs review can be settled, and only a success be reversed.
    #[error("it is {0}; only NEEDS_REVIEW can be settled, and only a proven success be reversed")]
    WrongState(&'static str),
}

impl Transaction {
    /// Settles what needs review, or takes back a success. `None` when the very same
    /// was decided before.
    ///
    /// # Errors
    /// [`CannotResolve`] when it changed since, or is in no state to be resolved.
    pub fn resolve(
        &self,
        ruling: &Ruling,
        now: Timestamp,
        schedule: &Schedule,
    ) -> Result<Option<Change>, CannotResolve> {
        let is_same = |said: &Statement| {
            said.finding == Finding::Resolved(ruling.verdict)
                && said.resolution.as_ref().is_some_and(|known| {
                    (&known.operator, &known.note, known.revision)
                        == (&ruling.operator, &ruling.note, ruling.revision)
                })
        };
        if self.evidence.iter().any(|(said, _)| is_same(said)) {
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
