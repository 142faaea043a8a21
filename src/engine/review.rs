//! What operators see and decide: transactions that need review, and notices.

use std::sync::Arc;

use super::Engine;
use crate::{
    store::{
        StoreError,
        notices::{self, Notice},
    },
    transaction::{CannotResolve, Ruling, Transaction, TransactionRef},
};

/// Why a transaction is not resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such transaction.
    #[error("there is no such transaction")]
    NotFound {
        /// The reference code may have been sent all the same.
        may_be_sent: bool,
    },
    /// It is in no state to be resolved, or changed since the operator looked.
    #[error(transparent)]
    CannotResolve(#[from] CannotResolve),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Settles a transaction by an operator's ruling; the same ruling again changes
    /// nothing.
    ///
    /// # Errors
    /// [`ResolveError`] when it is not resolved.
    pub async fn resolve(
        &self,
        named: &TransactionRef,
        ruling: &Ruling,
    ) -> Result<Arc<Transaction>, ResolveError> {
        let Some(mut current) = self.load(named).await? else {
            let may_be_sent = self.may_have_sent(&named.key).await;
            return Err(ResolveError::NotFound { may_be_sent });
        };
        loop {
            let Some(next) = current.resolve(ruling, self.now(), self.schedule())? else {
                return Ok(current);
            };
            match self.commit(&current, next).await? {
                Ok(resolved) => return Ok(resolved),
                Err(stored) => current = stored,
            }
        }
    }

    /// Returns up to `limit` of OKEBAYAR's texts to the partner after the newest `start`,
    /// without their mentions; the one that is new last is the first.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn notices(&self, start: usize, limit: usize) -> Result<Vec<Notice>, StoreError> {
        notices::notices(&*self.store, start, limit).await
    }

    /// Returns a text with its mentions so far.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn counted(&self, notice: Notice) -> Result<Notice, StoreError> {
        notices::counted(&*self.store, notice).await
    }
}
