//! Verification of a transaction that was read from a store.

use super::{finding::Finding, record::Transaction};

/// The error of a stored transaction that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored transaction contradicts itself: {0}")]
pub struct Contradiction(&'static str);

impl Transaction {
    /// Verifies a transaction that was read from a store.
    ///
    /// # Errors
    /// [`Contradiction`] when this program cannot have written the record.
    pub fn verified(self) -> Result<Self, Contradiction> {
        if self.revision == 0 || self.revision > self.version {
            return Err(Contradiction("its revision does not fit its version"));
        }
        if self.attempt.number == 0 {
            return Err(Contradiction("it has no attempt"));
        }
        if self.created_at > self.updated_at {
            return Err(Contradiction("it was changed before it was created"));
        }
        if self
            .quarantined
            .iter()
            .any(|held| held.attempt > self.attempt.number)
        {
            return Err(Contradiction(
                "it quarantined an attempt that was never made",
            ));
        }
        let is_of_future_attempt = |finding| matches!(finding, Finding::NotSent { attempt, .. } if attempt > self.attempt.number);
        if self
            .evidence
            .iter()
            .any(|(statement, _)| is_of_future_attempt(statement.finding))
        {
            return Err(Contradiction("it names an attempt that was never made"));
        }
        Ok(self)
    }
}
