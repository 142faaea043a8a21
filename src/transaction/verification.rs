//! The verification of a transaction that was read from a store.

use super::{evidence::Occurrences, finding::Finding, record::Transaction, statement::Statement};

/// A stored transaction that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored transaction contradicts itself: {0}")]
pub struct Contradiction(&'static str);

impl Transaction {
    /// Verifies a transaction that was read from a store.
    ///
    /// # Errors
    /// [`Contradiction`] when it cannot have been written by this program.
    pub fn verified(self) -> Result<Self, Contradiction> {
        if self.revision == 0 || self.revision > self.version {
            return Err(Contradiction("its revision does not fit its version"));
        }
        if self.attempt.number == 0 {
            return Err(Contradiction("it has no attempt"));
        }
        if self.created_at > self.updated_at {
            return Err(Contradiction("it was changed before it was made"));
        }
        if self
            .quarantined
            .iter()
            .any(|held| held.attempt > self.attempt.number)
        {
            return Err(Contradiction("it held back an attempt that was never made"));
        }
        let future_attempt = |(said, _): (&Statement, &Occurrences)| matches!(said.finding, Finding::NotSent { attempt, .. } if attempt > self.attempt.number);
        if self.evidence.iter().any(future_attempt) {
            return Err(Contradiction("it knows of an attempt that was never made"));
        }
        Ok(self)
    }
}
