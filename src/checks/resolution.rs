//! Resolution of a transaction by an operator.

use std::sync::Arc;

use crate::{
    checks::checks::Checks,
    store::StoreError,
    transaction::{CannotResolve, Ruling, Transaction, TransactionRef},
};

/// The reason why a transaction is not resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such transaction.
    #[error("there is no such transaction")]
    NotFound,
    /// Its state allows no resolution, or it changed since the operator read it.
    #[error(transparent)]
    CannotResolve(#[from] CannotResolve),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Checks {
    /// Settles a transaction by an operator's ruling. Idempotent.
    ///
    /// # Errors
    /// [`ResolveError`] when it is not resolved.
    pub async fn resolve(
        &self,
        named: &TransactionRef,
        ruling: &Ruling,
    ) -> Result<Arc<Transaction>, ResolveError> {
        let found = self.ledger.find(named).await?;
        let mut current = found.ok_or(ResolveError::NotFound)?;
        loop {
            let Some(next) = current.resolve(ruling, (self.ambient.now)(), &self.schedule)? else {
                return Ok(current);
            };
            match self.ledger.commit(&current, next).await? {
                Ok(resolved) => return Ok(resolved),
                Err(stored) => current = stored,
            }
        }
    }
}
